"""Tests of mono_distill.ops.box_masks; golden masks are of the official MonoSKD code."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mono_distill.ops import box_masks, gaussian_radius, gaussian_square_masks
from mono_distill.ops._compiled import box_kernels

SIZES = {4: (24, 40), 8: (12, 20), 16: (6, 10), 32: (3, 5)}


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(sys.modules[box_masks.__module__], 'box_kernels', lambda: None)


@pytest.fixture(autouse=True, params=['compiled', 'tensors'])
def form(request):
    """Every test runs with the compiled kernel and with tensor operations."""
    if request.param == 'tensors':
        request.getfixturevalue('without_kernels')
    elif box_kernels() is None:
        pytest.skip('numba is not installed')


compiled_only = pytest.mark.parametrize('form', ['compiled'], indirect=True)


def strange_boxes(slots=40):
    """Boxes inside, outside and across the border, reversed, thin, without end and without number."""
    boxes = torch.rand(3, slots, 4) * 260 - 60
    boxes[:, ::2, 2:] = boxes[:, ::2, :2] + torch.rand(3, (slots + 1) // 2, 2) * 50
    boxes[0, 0] = torch.tensor([-float('inf'), 30.0, float('inf'), 50.0])
    boxes[1, 1] = torch.tensor([1e30, 0.0, 2e30, 50.0])
    for side in range(4):
        boxes[1, 4 + side, side] = float('nan')
        boxes[2, 4 + side, side] = float('inf')
    return boxes


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


@compiled_only
@pytest.mark.parametrize('negative_indices', ['clip', 'wrap'])
@pytest.mark.parametrize('stride', [3, 4])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_both_forms_mark_the_same_pixels(request, dtype, stride, negative_indices):
    boxes = strange_boxes()
    boxes = boxes.nan_to_num(0, 200, -200).clamp(-200, 200).to(dtype) if dtype == torch.int64 else boxes.to(dtype)
    masks = box_masks(boxes, (17, 40), stride=stride, negative_indices=negative_indices)
    request.getfixturevalue('without_kernels')
    assert masks.any()
    assert torch.equal(masks, box_masks(boxes, (17, 40), stride=stride, negative_indices=negative_indices))


@pytest.mark.parametrize('negative_indices', ['clip', 'wrap'])
@pytest.mark.parametrize('side', range(4))
def test_boxes_with_a_nan_cover_nothing(side, negative_indices):
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]])
    boxes[..., side] = float('nan')
    assert not box_masks(boxes, (2, 2), stride=4, negative_indices=negative_indices).any()


def test_boxes_without_end_reach_the_border():
    boxes = torch.tensor([[[-float('inf'), 4.0, float('inf'), 8.0]]])
    assert box_masks(boxes, (3, 2), stride=4).int().tolist() == [[[0, 0], [1, 1], [0, 0]]]


def test_boxes_may_be_strided_and_may_have_a_graph():
    boxes = strange_boxes().clamp(0, 90)
    expected = box_masks(boxes, (17, 40), stride=4)
    crooked = boxes.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    assert torch.equal(box_masks(crooked, (17, 40), stride=4), expected)


def test_masks_can_be_batched_and_captured_whole():
    boxes = strange_boxes()
    expected = box_masks(boxes, (17, 40), stride=4)
    batched = torch.func.vmap(lambda b: box_masks(b, (17, 40), stride=4))(boxes.unsqueeze(1))
    compiled = torch.compile(box_masks, fullgraph=True, backend='aot_eager')
    assert torch.equal(batched[:, 0], expected)
    assert torch.equal(compiled(boxes, (17, 40), stride=4), expected)


def test_threads_do_not_disturb_each_other():
    boxes = [strange_boxes() for _ in range(16)]
    with ThreadPoolExecutor(4) as pool:
        masks = list(pool.map(lambda b: box_masks(b, (60, 90), stride=2), boxes))
    assert all(torch.equal(m, box_masks(b, (60, 90), stride=2)) for m, b in zip(masks, boxes, strict=True))


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
