"""Tests of mono_distill.adapters.conv."""

import pytest
import torch

from mono_distill.adapters import ConvAdapter
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def maps(channels, batch=2):
    return [torch.randn(batch, c, 2 ** (4 - i), 2 ** (5 - i)) for i, c in enumerate(channels)]


def test_every_level_keeps_its_shape():
    adapter = ConvAdapter([4, 8, 16])
    inputs = maps([4, 8, 16])
    assert [out.shape for out in adapter(inputs)] == [x.shape for x in inputs]


def test_default_has_the_parameters_of_the_official_adapters():
    counts = [sum(p.numel() for p in level.parameters()) for level in ConvAdapter().levels]
    assert counts == [41_088, 164_096, 655_872, 2_622_464]


def test_widths_of_the_teacher_can_differ():
    outputs = ConvAdapter([4, 8], out_channels=[6, 3])(maps([4, 8]))
    assert [out.shape[1] for out in outputs] == [6, 3]


def test_output_is_not_rectified():
    assert (ConvAdapter([8])(maps([8]))[0] < 0).any()


def test_input_is_left_as_it_is():
    (features,) = maps([4])
    copy = features.clone()
    ConvAdapter([4])([features])
    assert torch.equal(features, copy)


def test_gradient_reaches_every_parameter_and_the_input():
    adapter = ConvAdapter([4, 8])
    inputs = [x.requires_grad_() for x in maps([4, 8])]
    torch.stack([out.square().mean() for out in adapter(inputs)]).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in adapter.parameters())
    assert all(x.grad.any() for x in inputs)


def test_registry_builds_it():
    assert isinstance(MODELS.build(dict(type='mono_distill.ConvAdapter', channels=[4])), ConvAdapter)


def test_graph_is_captured_whole():
    adapter, inputs = ConvAdapter([4, 8]), maps([4, 8])
    compiled = torch.compile(adapter, fullgraph=True, backend='eager')
    for ours, expected in zip(compiled(inputs), adapter(inputs), strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize('channels', [[4], [4, 8, 16], [8, 4]])
def test_levels_that_do_not_fit_are_named(channels):
    with pytest.raises(ShapeError, match=r'built for levels of \(4, 8\) channels, got maps of shapes'):
        ConvAdapter([4, 8])(maps(channels))


def test_unequal_lists_are_refused():
    with pytest.raises(ShapeError, match='one entry per level'):
        ConvAdapter([4, 8], out_channels=[4])


def test_the_only_level_may_come_without_a_list():
    adapter = ConvAdapter([4], out_channels=[6])
    (features,) = maps([4])
    adapted = adapter(features)
    assert torch.equal(adapted, adapter([features])[0])
    assert adapted.shape == (2, 6, 16, 32)


def test_a_single_map_does_for_one_level_only():
    with pytest.raises(ShapeError, match=r'built for levels of \(4, 8\) channels'):
        ConvAdapter([4, 8])(maps([4])[0])
