from __future__ import annotations

import math

import pytest
import torch

from mono_distill.losses import monodle_response_terms
from mono_distill.models.task_modules.center_geometry import depth_from_logit
from mono_distill.ops.box_masks import gaussian_square_masks
from mono_distill.targets import DenseTruthMaps, dense_truth_maps
from mono_distill.utils.errors import ConfigError

HEIGHT, WIDTH = 12, 20


def targets_of(*objects):
    """Targets of one image, for objects (cell x, cell y, box xyxy in pixels, depth, heading bin)."""
    count = len(objects)
    boxes = torch.tensor([box for _, _, box, _, _ in objects], dtype=torch.float).view(1, count, 4)
    cells = torch.tensor([[x, y] for x, y, *_ in objects], dtype=torch.float)[None]
    middle = (boxes[..., :2] + boxes[..., 2:]) / 8
    return {
        'heatmap': torch.zeros(1, 3, HEIGHT, WIDTH),
        'indices': torch.tensor([[y * WIDTH + x for x, y, *_ in objects]]),
        'mask_2d': torch.ones(1, count, dtype=torch.bool),
        'bboxes': boxes,
        'offset_2d': middle - cells,
        'size_2d': (boxes[..., 2:] - boxes[..., :2]) / 4,
        'offset_3d': torch.full((1, count, 2), 0.25),
        'size_3d': torch.tensor([[[1.5, 1.6, 3.9]]]).expand(1, count, 3),
        'depth': torch.tensor([[depth for *_, depth, _ in objects]]),
        'heading_bin': torch.tensor([[number for *_, number in objects]]),
        'heading_res': torch.full((1, count), 0.1),
    }


# 40 x 32 px around (42, 24): cells 10 x 8 with the middle (10.5, 6), which lies in the square's middle cell (10, 6).
NEAR = (10, 6, (22.0, 8.0, 62.0, 40.0), 20.0, 5)


def test_the_cell_of_an_object_holds_its_own_targets():
    maps = dense_truth_maps(targets_of(NEAR))
    at = {name: value[0, :, 6, 10] for name, value in maps.items()}
    assert at['offset_2d'].tolist() == [0.5, 0.0]
    assert at['offset_3d'].tolist() == [0.25, 0.25]
    assert at['size_2d'].tolist() == [10, 8]
    assert at['size_3d'].tolist() == pytest.approx([1.5, 1.6, 3.9])
    assert at['depth'].tolist() == pytest.approx([-math.log(20)])
    assert depth_from_logit(at['depth']).item() == pytest.approx(20, rel=1e-3)
    assert at['heading'][:12].softmax(0).argmax().item() == 5
    assert at['heading'][:12].softmax(0).max().item() == pytest.approx(1, abs=1e-6)
    assert at['heading'][12 + 5].item() == pytest.approx(0.1)


def test_a_pixel_beside_points_to_the_same_object():
    maps = dense_truth_maps(targets_of(NEAR))
    # One to the right and one up: the object lies one further left and one further down.
    assert maps['offset_2d'][0, :, 5, 11].tolist() == [-0.5, 1.0]
    assert maps['offset_3d'][0, :, 5, 11].tolist() == [-0.75, 1.25]
    assert maps['depth'][0, 0, 5, 11] == maps['depth'][0, 0, 6, 10]


def test_exactly_the_square_of_the_response_loss_is_painted():
    targets = targets_of(NEAR)
    painted = dense_truth_maps(targets)['size_2d'][0].abs().sum(0) > 0
    square = gaussian_square_masks(targets['bboxes'], targets['mask_2d'], (HEIGHT, WIDTH), stride=4)[0]
    assert square.sum() > 1
    assert torch.equal(painted, square)


def test_the_nearer_object_wins_where_squares_overlap():
    far = (11, 6, (26.0, 8.0, 66.0, 40.0), 35.0, 2)
    for objects in ((NEAR, far), (far, NEAR)):
        depth = dense_truth_maps(targets_of(*objects))['depth'][0, 0]
        assert depth[6, 11].item() == pytest.approx(-math.log(20))


def test_an_invalid_slot_paints_nothing():
    targets = targets_of(NEAR)
    targets['mask_2d'][:] = False
    assert all(value.abs().sum() == 0 for value in dense_truth_maps(targets).values())


def test_a_perfect_student_has_no_response_loss():
    targets = targets_of(NEAR)
    maps = DenseTruthMaps()(targets)
    student = {name: value.clone().requires_grad_() for name, value in maps.items()}
    terms = monodle_response_terms(student, maps, targets)
    assert {name: round(term.item(), 6) for name, term in terms.items()} == dict.fromkeys(terms, 0.0)


def test_a_wrong_depth_is_felt_in_the_whole_square():
    targets = targets_of(NEAR)
    maps = dense_truth_maps(targets)
    depth = (maps['depth'] + 0.3).requires_grad_()
    terms = monodle_response_terms({**maps, 'depth': depth}, maps, targets)
    assert terms['depth'].item() == pytest.approx(0.3, abs=1e-6)
    terms['depth'].backward()
    square = gaussian_square_masks(targets['bboxes'], targets['mask_2d'], (HEIGHT, WIDTH), stride=4)
    assert torch.equal(depth.grad[:, 0] != 0, square)


def test_a_missing_target_is_named():
    targets = targets_of(NEAR)
    del targets['heading_res']
    with pytest.raises(ConfigError, match='heading_res'):
        dense_truth_maps(targets)
