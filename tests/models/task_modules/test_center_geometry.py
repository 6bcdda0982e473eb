from __future__ import annotations

import numpy as np
import torch
from mmdet3d.models.utils import draw_heatmap_gaussian

from mono_distill.models.task_modules.center_geometry import (
    depth_from_logit,
    gather_at,
    render_gaussians,
)


def test_gaussians_are_those_of_mmdet3d_drawn_one_by_one():
    generator = np.random.RandomState(1)
    shape = (3, 24, 80)
    peaks = torch.from_numpy(generator.randint(0, (80, 24), (2, 7, 2)))
    radii = torch.from_numpy(generator.randint(0, 15, (2, 7)))
    labels = torch.from_numpy(generator.randint(0, 3, (2, 7)))
    valid = torch.from_numpy(generator.rand(2, 7) > 0.3)
    expected = torch.zeros(2, *shape)
    for b, i in valid.nonzero().tolist():
        draw_heatmap_gaussian(expected[b, labels[b, i]], peaks[b, i], int(radii[b, i]))
    drawn = render_gaussians(peaks, radii, labels, valid, shape)
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-6)
    assert torch.equal(drawn == 1, expected == 1)
    assert torch.equal(drawn == 0, expected == 0)


def test_invalid_objects_leave_no_trace_even_with_an_impossible_label():
    peaks, radii = torch.tensor([[[5, 5]]]), torch.tensor([[3]])
    heatmap = render_gaussians(peaks, radii, torch.tensor([[-1]]), torch.tensor([[False]]), (3, 10, 10))
    assert heatmap.abs().max() == 0


def test_depth_of_a_logit_is_its_negative_exponential():
    logits = torch.linspace(-4, 1, 11)
    torch.testing.assert_close(depth_from_logit(logits), torch.exp(-logits), rtol=1e-4, atol=1e-5)


def test_gather_reads_rows_then_columns():
    feature_map = torch.arange(2 * 3 * 4 * 5.0).view(2, 3, 4, 5)
    values = gather_at(feature_map, torch.tensor([[0, 7], [19, 19]]))
    assert values.shape == (2, 2, 3)
    assert torch.equal(values[0, 1], feature_map[0, :, 1, 2])
    assert torch.equal(values[1, 0], feature_map[1, :, 3, 4])
