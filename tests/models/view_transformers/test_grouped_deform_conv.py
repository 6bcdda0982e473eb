import pytest
import torch

from mono_distill.models.view_transformers.grouped_deform_conv import GroupedDeformConv2d
from mono_distill.utils.errors import ConfigError


@pytest.mark.parametrize('images', [1, 5, 131, 132])
def test_it_starts_as_an_ordinary_convolution_for_any_number_of_images(images):
    layer = GroupedDeformConv2d(8, groups=4)
    x = torch.randn(images, 8, 3, 4)
    assert torch.allclose(layer(x), layer.conv(x), atol=1e-5)


def test_a_whole_offset_moves_the_map():
    layer = GroupedDeformConv2d(8, groups=2)
    with torch.no_grad():
        # One row down for every tap.
        layer.conv_offset.bias[0::2] = 1.0
    x = torch.randn(2, 8, 6, 7)
    moved = torch.nn.functional.pad(x, (0, 0, 0, 1))[:, :, 1:]
    # The border differs: an ordinary convolution pads the moved map, this one reads the original beyond it.
    assert torch.allclose(layer(x)[:, :, 1:-1], layer.conv(moved)[:, :, 1:-1], atol=1e-5)


def test_groups_share_offsets_and_nothing_else():
    layer = GroupedDeformConv2d(8, groups=4)
    torch.nn.init.normal_(layer.conv_offset.bias)
    torch.nn.init.zeros_(layer.conv_offset.weight)
    x = torch.randn(1, 8, 5, 5, requires_grad=True)
    layer(x)[:, :2].sum().backward()
    assert x.grad[:, :2].abs().sum() > 0
    assert x.grad[:, 2:].abs().sum() == 0


def test_offsets_learn():
    layer = GroupedDeformConv2d(4, groups=4)
    layer(torch.randn(2, 4, 5, 5)).square().sum().backward()
    assert layer.conv_offset.weight.grad.abs().sum() > 0


def test_groups_must_divide_the_channels():
    with pytest.raises(ConfigError, match='3 groups'):
        GroupedDeformConv2d(8, groups=3)
