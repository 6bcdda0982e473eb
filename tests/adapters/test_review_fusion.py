"""Tests of mono_distill.adapters.review_fusion; golden numbers are of the official MonoDistill code."""

import pytest
import torch
from torch.nn import functional as F

from mono_distill.adapters import ConvAdapter
from mono_distill.adapters.review_fusion import ReviewFusion
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError

CHANNELS = (4, 8, 16, 32)


def renamed(data, old, new, prefix=''):
    return {
        key.removeprefix(prefix).replace(old, new): torch.from_numpy(value)
        for key, value in data.items()
        if key.startswith(prefix + old)
    }


def official(data, count):
    """The ``count`` coarser levels with the released weights, the adapters behind them and their inputs."""
    fusion, adapter = ReviewFusion(CHANNELS[-count:], mid_channels=16), ConvAdapter(CHANNELS[1:])
    weights = renamed(data, 'rgb_fs.', 'blocks.')
    fusion.load_state_dict({k: v for k, v in weights.items() if int(k.split('.')[1]) < count})
    adapter.load_state_dict(renamed(data, 'adapt.', 'levels.'))
    return fusion, adapter, [torch.from_numpy(data[f'x{i}']).requires_grad_() for i in range(4 - count, 4)]


@pytest.mark.parametrize('count', [3, 4])
def test_features_equal_official_ones_with_and_without_the_finest_level(golden, count):
    data = golden('abf_fusion')
    fusion, adapter, inputs = official(data, count)
    fused = fusion(inputs)
    for i, ours in enumerate(fused, start=4 - count):
        torch.testing.assert_close(ours, torch.from_numpy(data[f'fused{i}']), rtol=1e-5, atol=5e-6)
    for i, ours in enumerate(adapter(fused[-3:])):
        torch.testing.assert_close(ours, torch.from_numpy(data[f'out{i}']), rtol=1e-5, atol=2e-6)


def test_gradients_equal_official_ones_without_the_finest_level(golden):
    data = golden('abf_fusion')
    fusion, adapter, inputs = official(data, 3)
    outputs = adapter(fusion(inputs))
    gradients = torch.autograd.grad(outputs, inputs, [torch.from_numpy(data[f'cot{i}']) for i in range(3)])
    assert not data['gx0'].any()
    for i, gradient in enumerate(gradients, start=1):
        expected = torch.from_numpy(data[f'gx{i}'])
        torch.testing.assert_close(gradient, expected, rtol=1e-5, atol=1e-6 * expected.abs().max().item())


def test_statistics_after_one_step_equal_official_ones(golden):
    data = golden('abf_fusion')
    fusion, _, inputs = official(data, 4)
    fusion(inputs)
    statistics = renamed(data, 'rgb_fs.', 'blocks.', prefix='after.')
    assert len(statistics) == 16
    for name, expected in statistics.items():
        torch.testing.assert_close(fusion.state_dict()[name], expected, rtol=1e-5, atol=1e-6)


def test_released_model_has_the_parameters_of_four_levels_and_three_are_enough():
    assert sum(p.numel() for p in ReviewFusion((64, 128, 256, 512)).parameters()) == 4_927_366
    assert sum(p.numel() for p in ReviewFusion().parameters()) == 4_596_484


def maps(channels=(4, 8, 16)):
    return [torch.randn(2, c, 2 ** (4 - i), 2 ** (5 - i)) for i, c in enumerate(channels)]


def test_attention_reads_the_level_and_the_enlarged_mixture_side_by_side():
    fusion, inputs = ReviewFusion((4, 8), mid_channels=6).eval(), maps((4, 8))
    fine, coarse = (block.conv1(x) for block, x in zip(fusion.blocks[::-1], inputs, strict=True))
    enlarged = F.interpolate(coarse, size=fine.shape[2:], mode='nearest')
    attention = fusion.blocks[1].att_conv(torch.cat([fine, enlarged], 1)).sigmoid()
    mixture = fine * attention[:, :1] + enlarged * attention[:, 1:]
    ours = fusion(inputs)
    torch.testing.assert_close(ours[0], fusion.blocks[1].conv2(mixture))
    torch.testing.assert_close(ours[1], fusion.blocks[0].conv2(coarse))


def test_coarse_levels_do_not_see_finer_ones():
    fusion, inputs = ReviewFusion((4, 8, 16), mid_channels=6).eval(), maps()
    before = fusion(inputs)
    inputs[1] = inputs[1] + 1
    after = fusion(inputs)
    assert torch.equal(before[2], after[2])
    assert not torch.allclose(before[1], after[1])
    assert not torch.allclose(before[0], after[0])


def test_gradient_reaches_every_parameter_and_the_input():
    fusion, inputs = ReviewFusion((4, 8, 16), mid_channels=6), [x.requires_grad_() for x in maps()]
    torch.stack([(x * torch.randn_like(x)).sum() for x in fusion(inputs)]).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in fusion.parameters())
    assert all(x.grad.any() for x in inputs)


def test_sizes_need_not_be_multiples():
    fusion = ReviewFusion((4, 8), mid_channels=6)
    inputs = [torch.randn(2, 4, 7, 11), torch.randn(2, 8, 4, 6)]
    assert [x.shape for x in fusion(inputs)] == [x.shape for x in inputs]


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.ReviewFusion', channels=[4, 8])), ReviewFusion)


def test_graph_is_captured_whole():
    fusion, inputs = ReviewFusion((4, 8), mid_channels=6), maps((4, 8))
    compiled = torch.compile(fusion, fullgraph=True, backend='eager')
    for ours, expected in zip(compiled(inputs), fusion(inputs), strict=True):
        torch.testing.assert_close(ours, expected)


def test_half_precision_under_autocast():
    fusion, inputs = ReviewFusion((4, 8), mid_channels=6), maps((4, 8))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert all(x.isfinite().all() for x in fusion(inputs))


@pytest.mark.parametrize('channels', [(4, 8), (4, 8, 16, 32), (16, 8, 4)])
def test_levels_that_do_not_fit_are_named(channels):
    with pytest.raises(ShapeError, match=r'built for levels of \(4, 8, 16\) channels, got maps of shapes'):
        ReviewFusion((4, 8, 16))(maps(channels))
