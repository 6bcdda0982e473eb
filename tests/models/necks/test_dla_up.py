from __future__ import annotations

import pytest
import torch

from mono_distill.models import DLAUpNeck
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

GN = dict(type='GN', num_groups=2)


def pyramid(channels=(4, 8, 12, 16), size=16, **kwargs):
    return [torch.randn(2, c, size >> i, (2 * size) >> i, **kwargs) for i, c in enumerate(channels)]


@pytest.mark.parametrize('coord_channels', [False, True])
def test_every_level_keeps_its_shape(coord_channels):
    feats = pyramid()
    neck = DLAUpNeck((4, 8, 12, 16), norm_cfg=GN, coord_channels=coord_channels)
    assert [out.shape for out in neck(feats)] == [feat.shape for feat in feats]


def test_the_coarsest_level_passes_unchanged():
    feats = pyramid()
    assert neck_output(feats)[-1] is feats[-1]


def neck_output(feats):
    return DLAUpNeck([feat.shape[1] for feat in feats], norm_cfg=GN)(feats)


@pytest.mark.parametrize('levels', [2, 3, 5])
def test_any_number_of_levels_works(levels):
    feats = pyramid([4] * levels)
    assert len(neck_output(feats)) == levels


def test_published_size_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in DLAUpNeck().parameters()) == 3_995_392


def test_parameter_names_are_official():
    names = set(DLAUpNeck().state_dict())
    expected = {f'ida_{i}.up_{j}.weight' for i in range(3) for j in range(1, i + 2)}
    assert {name for name in names if '.up_' in name} == expected
    assert {'ida_2.proj_3.conv.weight', 'ida_2.node_3.bn.running_var'} < names


@pytest.mark.parametrize('initialise', [False, True])
def test_upsampling_starts_as_bilinear_interpolation(initialise):
    neck = MODELS.build(dict(type='mono_distill.DLAUpNeck', in_channels=(4, 8)))
    if initialise:
        neck.init_weights()
    feat = torch.randn(1, 4, 6, 7)
    expected = torch.nn.functional.interpolate(feat, scale_factor=2, mode='bilinear', align_corners=False)
    torch.testing.assert_close(neck.ida_0.up_1(feat)[:, :, 1:-1, 1:-1], expected[:, :, 1:-1, 1:-1])


def test_coordinates_tell_places_of_a_constant_image_apart():
    feats = [torch.ones(1, c, 32 >> i, 32 >> i) for i, c in enumerate((4, 8))]
    plain, placed = (DLAUpNeck((4, 8), norm_cfg=GN, coord_channels=c)(feats)[0] for c in (False, True))
    # Two places far from the border, where padding cannot tell.
    assert torch.allclose(plain[..., 10, 10], plain[..., 20, 20], atol=1e-6)
    assert not torch.allclose(placed[..., 10, 10], placed[..., 20, 20], atol=1e-3)


def test_coordinates_follow_the_precision_of_the_features():
    neck = DLAUpNeck((4, 8), norm_cfg=GN, coord_channels=True).bfloat16()
    assert neck(pyramid((4, 8), dtype=torch.bfloat16))[0].dtype == torch.bfloat16


def test_every_parameter_receives_a_gradient_from_the_finest_level():
    neck = DLAUpNeck((4, 8, 12, 16), norm_cfg=GN)
    neck(pyramid())[0].square().mean().backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_levels_that_do_not_fit_are_named():
    with pytest.raises(ConfigError, match='fewer than the two levels'):
        DLAUpNeck((64,))
    neck = DLAUpNeck((4, 8), norm_cfg=GN)
    with pytest.raises(ShapeError, match=r'\(4, 9\) channels, expected \(4, 8\)'):
        neck(pyramid((4, 9)))
    with pytest.raises(ShapeError, match='do not halve'):
        neck([torch.zeros(1, 4, 9, 8), torch.zeros(1, 8, 4, 4)])
