import pytest
import torch

from mono_distill.models.necks import LSSFPN
from mono_distill.utils.errors import ConfigError, ShapeError


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_sizes_of_bevdet():
    image = LSSFPN([1024, 2048], 512, levels=(0, 1), extra_upsample=None)
    assert count(image) == 9 * 512 * (3072 + 512) + 4 * 512
    bev = LSSFPN([128, 512], 256)
    assert count(bev) == 9 * (640 * 512 + 512 * 512 + 512 * 256) + 2 * (512 + 512 + 256) + 256 * 256 + 256


def test_shapes():
    [merged] = LSSFPN([4, 16], 6)([torch.zeros(2, 4, 8, 12), torch.zeros(2, 8, 4, 6), torch.zeros(2, 16, 2, 3)])
    assert merged.shape == (2, 6, 16, 24)


def centre_of_mass(neck, place):
    coarse = torch.zeros(1, 1, 1, 16)
    coarse[..., place] = 1
    enlarged = neck._resize(coarse, (1, 64))[0, 0, 0]
    return ((torch.arange(64) + 0.5) * enlarged).sum() / enlarged.sum() / 4


def test_a_cell_stays_where_it_is_when_it_is_enlarged():
    straight, official = LSSFPN([1, 1], 1), LSSFPN([1, 1], 1, align_corners=True)
    for place in (1, 7, 14):
        assert centre_of_mass(straight, place).item() == pytest.approx(place + 0.5, abs=0.02)
    assert centre_of_mass(official, 14).item() - 14.5 > 0.3
    assert centre_of_mass(official, 1).item() - 1.5 < -0.2


def test_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match='do not divide'):
        LSSFPN([1, 1], 1, levels=(0, 1))([torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 2, 2)])
    with pytest.raises(ConfigError, match='two levels'):
        LSSFPN([1, 1, 1], 1)
