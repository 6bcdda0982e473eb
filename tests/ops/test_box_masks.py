"""Tests of mono_distill.ops.box_masks; golden masks are of the official MonoSKD code."""

import pytest
import torch

from mono_distill.ops import box_masks, gaussian_radius, gaussian_square_masks

SIZES = {4: (24, 40), 8: (12, 20), 16: (6, 10), 32: (3, 5)}


@pytest.mark.parametrize('stride', SIZES)
@pytest.mark.parametrize('negative_indices', ['clip', 'wrap'])
def test_masks_of_boxes_inside_the_image_equal_official_ones(golden, stride, negative_indices):
    data = golden('foreground_l2')
    masks = box_masks(
        torch.from_numpy(data['boxes_clean']), SIZES[stride], stride=stride, negative_indices=negative_indices
    )
    assert torch.equal(masks, torch.from_numpy(data[f'boxmask_clean_s{stride}']).bool())


@pytest.mark.parametrize('stride', SIZES)
def test_wrapped_masks_of_boxes_outside_the_image_equal_official_ones(golden, stride):
    data = golden('foreground_l2')
    expected = torch.from_numpy(data[f'boxmask_quirk_s{stride}']).bool()
    boxes = torch.from_numpy(data['boxes_quirk'])
    assert torch.equal(box_masks(boxes, SIZES[stride], stride=stride, negative_indices='wrap'), expected)


def test_clipped_boxes_cover_the_part_inside_the_map():
    boxes = torch.tensor([[[-9.0, -9.0, 8.0, 4.0], [12.0, 4.0, 99.0, 99.0], [-20.0, 0.0, -8.0, 8.0]]])
    assert box_masks(boxes, (2, 4), stride=4).int().tolist() == [[[1, 1, 0, 0], [0, 0, 0, 1]]]


def test_thin_and_empty_boxes_cover_nothing():
    boxes = torch.tensor([[[5.0, 0.0, 7.9, 8.0], [0.0, 0.0, 0.0, 0.0]]])
    assert not box_masks(boxes, (2, 4), stride=4).any()


def test_images_without_boxes_are_empty():
    assert box_masks(torch.zeros(2, 0, 4), (3, 5), stride=4).shape == (2, 3, 5)
    assert not box_masks(torch.zeros(2, 0, 4), (3, 5), stride=4).any()


@pytest.mark.parametrize('case', ['clean', 'quirk'])
def test_gaussian_squares_equal_official_ones_but_for_the_pixel_of_empty_slots(golden, case):
    data = golden('foreground_l2')
    boxes = torch.from_numpy(data[f'boxes_{case}'])
    expected = torch.from_numpy(data[f'gaussmask_{case}_s4']).bool()
    masks = gaussian_square_masks(boxes, boxes.any(-1), SIZES[4], stride=4)
    assert expected[:, 0, 0].all()
    masks[:, 0, 0] = True
    assert torch.equal(masks, expected)


def test_gaussian_square_is_clipped_to_the_map():
    boxes = torch.tensor([[[0.0, 0.0, 120.0, 100.0]]])
    assert gaussian_square_masks(boxes, torch.tensor([[True]]), (3, 3), stride=40).int().tolist() == [
        [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    ]
    assert gaussian_square_masks(boxes, torch.tensor([[True]]), (9, 9), stride=4).any()


def test_gaussian_squares_of_invalid_slots_are_not_drawn():
    boxes = torch.tensor([[[0.0, 0.0, 40.0, 40.0], [0.0, 0.0, 0.0, 0.0]]])
    assert not gaussian_square_masks(boxes, torch.tensor([[False, False]]), (10, 10), stride=4).any()


def test_gaussian_squares_of_objects_outside_the_map_are_not_drawn():
    boxes = torch.tensor([[[400.0, 400.0, 440.0, 440.0], [-90.0, -90.0, -60.0, -60.0]]])
    assert not gaussian_square_masks(boxes, torch.ones(1, 2, dtype=torch.bool), (10, 10), stride=4).any()


def test_gaussian_radius_is_symmetric_grows_with_the_box_and_vanishes_with_it():
    small, large = torch.tensor([4.0, 0.0]), torch.tensor([9.0, 0.0])
    assert torch.equal(gaussian_radius(small, large), gaussian_radius(large, small))
    assert gaussian_radius(2 * small, 2 * large)[0] > gaussian_radius(small, large)[0]
    assert gaussian_radius(small, large)[1] == 0


def test_truncated_radii_are_those_of_mmdet3d():
    mmdet3d_utils = pytest.importorskip('mmdet3d.models.utils')
    sizes = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 90
    radii = gaussian_radius(sizes[:, 0], sizes[:, 1], 0.7)
    assert radii.int().tolist() == [int(mmdet3d_utils.gaussian_radius((h, w), 0.7)) for h, w in sizes]


@pytest.mark.parametrize('size', [0.0, 1e-3])
def test_the_smallest_boxes_have_radius_zero(size):
    size = torch.tensor([size], dtype=torch.float64)
    assert gaussian_radius(size, size).int().item() == 0
