from __future__ import annotations

import torch

from mono_distill.models.task_modules.monodetr_boxes import corners_to_edges, edges_to_corners


def test_corners_and_edges_invert_each_other():
    corners = torch.rand(2, 3, 4)
    centers = torch.rand(2, 3, 2)
    boxes = corners_to_edges(corners, centers)
    torch.testing.assert_close(edges_to_corners(boxes), corners)
    torch.testing.assert_close(boxes[..., :2], centers)


def test_a_centre_outside_of_its_box_has_a_negative_distance():
    box = corners_to_edges(torch.tensor([2.0, 2, 4, 4]), torch.tensor([5.0, 3]))
    assert box.tolist() == [5, 3, 3, -1, 1, 1]
