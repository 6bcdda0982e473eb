from __future__ import annotations

import math

import pytest
import torch

from mono_distill.models.task_modules import HeadingBinCoder
from mono_distill.models.task_modules.heading_bin_coder import wrap_angle


@pytest.mark.parametrize(
    ('angle', 'index', 'residual'),
    [(-1.58, 9, -0.009203673340380192), (1.85, 4, -0.24439510703086853), (0.21, 0, 0.20999999344348907)],
)
def test_annotated_angles_fall_into_the_bins_of_the_official_code(angle, index, residual):
    bins, residuals = HeadingBinCoder().encode(torch.tensor([angle], dtype=torch.float64))
    assert bins.item() == index
    assert residuals.item() == pytest.approx(residual, abs=1e-7)


def test_decoding_inverts_encoding():
    coder = HeadingBinCoder()
    angles = torch.linspace(-math.pi, math.pi, 1001)[1:-1]
    bins, residuals = coder.encode(angles)
    pred = torch.cat([torch.nn.functional.one_hot(bins, 12).float(), residuals.unsqueeze(-1).expand(-1, 12)], dim=-1)
    torch.testing.assert_close(coder.decode(pred), angles, rtol=0, atol=1e-6)


def test_residuals_stay_inside_half_a_bin():
    bins, residuals = HeadingBinCoder().encode(torch.linspace(-20, 20, 4001))
    assert bins.min() == 0
    assert bins.max() == 11
    assert residuals.abs().max() <= math.pi / 12 + 1e-6


def test_just_below_a_full_turn_is_the_last_part_of_the_first_bin():
    angle = torch.tensor([2 * math.pi - 1e-12 - math.pi / 12], dtype=torch.float64)
    assert HeadingBinCoder().encode(angle)[0].item() == 11


def test_wrapping_leaves_the_border_alone():
    assert wrap_angle(torch.tensor([math.pi, -math.pi, 0.0])).tolist() == pytest.approx([math.pi, -math.pi, 0.0])
    assert wrap_angle(torch.tensor([-4.0])).item() == pytest.approx(2 * math.pi - 4)
