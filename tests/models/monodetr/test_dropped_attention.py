import pytest
import torch
from torch.nn import functional

from mono_distill.models.monodetr import dropped_attention as module
from mono_distill.models.monodetr.dropped_attention import dropped_attention


def random_inputs(heads=4, queries=6, keys=9, channels=5):
    generator = torch.Generator().manual_seed(3)
    shapes = ((2, heads, queries, channels), (2, heads, keys, channels), (2, heads, keys, channels))
    return [torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]


def results(function, inputs):
    torch.manual_seed(0)
    output = function(*inputs)
    return [output, *torch.autograd.grad(output.square().sum(), inputs)]


@pytest.fixture
def small_chunks(monkeypatch):
    # Three of the eight heads at a time, so that the last chunk is shorter.
    monkeypatch.setattr(module, 'CHUNK', 3 * 6 * 9)


@pytest.mark.usefixtures('small_chunks')
def test_without_dropping_it_is_attention():
    inputs = random_inputs()
    expected = results(functional.scaled_dot_product_attention, inputs)
    for ours, theirs in zip(results(lambda q, k, v: dropped_attention(q, k, v, 0.0), inputs), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.usefixtures('small_chunks')
def test_gradients_are_those_of_finite_differences_with_the_same_mask():
    def attend(*inputs):
        torch.manual_seed(5)
        return dropped_attention(*inputs, 0.3)

    assert torch.autograd.gradcheck(attend, random_inputs(heads=2, channels=2))


def test_weights_are_dropped_at_the_rate_and_the_others_raised():
    # Values are the unit vectors, so that the output is the weights: 1 / 200 each before they are dropped.
    torch.manual_seed(0)
    queries, keys = torch.zeros(1, 500, 200), torch.zeros(1, 200, 200)
    weights = dropped_attention(queries, keys, torch.eye(200)[None], 0.1) * 200
    kept = weights > 0
    assert 1 - kept.float().mean().item() == pytest.approx(0.1, abs=0.004)  # four standard deviations
    torch.testing.assert_close(weights[kept], torch.full_like(weights[kept], 1 / 0.9), rtol=1e-4, atol=0)
    # Neither rows nor columns share their masks.
    assert kept.float().mean((0, 1)).std() < 0.03
    assert kept.float().mean((0, 2)).std() < 0.04


def test_the_seed_settles_the_masks_and_calls_differ():
    inputs = random_inputs()
    torch.manual_seed(1)
    first, second = (dropped_attention(*inputs, 0.5) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(dropped_attention(*inputs, 0.5), first)
    assert not torch.equal(first, second)
