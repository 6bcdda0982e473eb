"""Tests of mono_distill.ops.box_weight_maps; golden maps are of the official MonoSTL code."""

import sys

import pytest
import torch

from mono_distill.ops._compiled import box_kernels
from mono_distill.ops.box_masks import box_masks
from mono_distill.ops.box_weight_maps import box_weight_maps
from mono_distill.utils.errors import ShapeError

SIZES = {8: (12, 20), 16: (6, 10), 32: (3, 5)}


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(sys.modules[box_masks.__module__], 'box_kernels', lambda: None)


@pytest.fixture(autouse=True, params=['compiled', 'tensors'])
def form(request):
    """Every test runs with the compiled kernels and with tensor operations."""
    if request.param == 'tensors':
        request.getfixturevalue('without_kernels')
    elif box_kernels() is None:
        pytest.skip('numba is not installed')


compiled_only = pytest.mark.parametrize('form', ['compiled'], indirect=True)


def object_weights(data, side):
    """Official weights of objects: 1 - confidence of the student, or confidence of the teacher; 0.01 without centre."""
    confidence = torch.from_numpy(data[f'{side}_conf']).clamp(0, 1)
    weights = 1 - confidence if side == 'student' else confidence
    return torch.where(torch.from_numpy(data['indices_all']) == 0, 0.01, weights)


@pytest.mark.parametrize('stride', SIZES)
@pytest.mark.parametrize('case', ['clean', 'quirk'])
@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_maps_equal_official_ones(golden, side, case, stride):
    data = golden('monostl_feature_relation')
    boxes = torch.from_numpy(data['boxes' if case == 'clean' else 'boxes_quirk'])
    maps, covered = box_weight_maps(
        boxes, object_weights(data, side), SIZES[stride], stride=stride, negative_indices='wrap'
    )
    assert torch.equal(covered, torch.from_numpy(data[f'mask_{case}_s{stride}']).bool())
    torch.testing.assert_close(maps, torch.from_numpy(data[f'w_{case}_{side}_weight_s{stride}']), rtol=1e-6, atol=0)


def painted(boxes, weights, size, stride, overlap):
    """One box after the other."""
    maps = torch.zeros(boxes.shape[0], *size)
    covered = torch.zeros(boxes.shape[0], *size, dtype=torch.bool)
    for image in range(boxes.shape[0]):
        for box, weight in zip(boxes[image].tolist(), weights[image].tolist(), strict=True):
            x1, y1, x2, y2 = (max(int(v / stride), 0) for v in box)
            for y in range(y1, min(y2, size[0])):
                for x in range(x1, min(x2, size[1])):
                    replaces = overlap == 'last' or not covered[image, y, x] or weight > maps[image, y, x]
                    maps[image, y, x] = weight if replaces else maps[image, y, x]
                    covered[image, y, x] = True
    return maps, covered


@pytest.mark.parametrize('overlap', ['last', 'max'])
@pytest.mark.parametrize('slots', [1, 30, 300])
def test_maps_are_those_of_painting_box_after_box(slots, overlap):
    corner = torch.rand(2, slots, 2) * torch.tensor([70.0, 50.0]) - 10
    boxes = torch.cat([corner, corner + torch.rand(2, slots, 2) * 20], 2)
    boxes[:, ::4] = 0
    weights = torch.randn(2, slots)
    expected = painted(boxes, weights, (10, 16), 4, overlap)
    ours = box_weight_maps(boxes, weights, (10, 16), stride=4, overlap=overlap)
    assert torch.equal(ours[0], expected[0])
    assert torch.equal(ours[1], expected[1])


@pytest.mark.parametrize('overlap', ['last', 'max'])
@pytest.mark.parametrize('negative_indices', ['clip', 'wrap'])
def test_covered_pixels_are_those_of_the_box_masks(golden, negative_indices, overlap):
    boxes = torch.from_numpy(golden('foreground_l2')['boxes_quirk'])
    options = dict(stride=8, negative_indices=negative_indices)
    _, covered = box_weight_maps(boxes, torch.rand(boxes.shape[:2]), SIZES[8], overlap=overlap, **options)
    assert torch.equal(covered, box_masks(boxes, SIZES[8], **options))


def test_only_the_largest_weight_does_not_depend_on_the_order():
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0], [4.0, 4.0, 12.0, 12.0]]])
    weights = torch.tensor([[0.2, 0.7]])
    maps = {
        overlap: [
            box_weight_maps(b, w, (3, 3), stride=4, overlap=overlap)[0]
            for b, w in ((boxes, weights), (boxes.flip(1), weights.flip(1)))
        ]
        for overlap in ('last', 'max')
    }
    assert torch.equal(*maps['max'])
    assert [m[0, 1, 1].item() for m in maps['last']] == pytest.approx([0.7, 0.2])


@pytest.mark.parametrize('overlap', ['last', 'max'])
def test_gradient_of_a_weight_is_the_number_of_its_pixels(overlap):
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0], [4.0, 4.0, 12.0, 12.0], [0.0, 0.0, 0.0, 0.0]]])
    weights = torch.tensor([[0.2, 0.7, 0.9]], requires_grad=True)
    box_weight_maps(boxes, weights, (3, 3), stride=4, overlap=overlap)[0].sum().backward()
    assert weights.grad.tolist() == [[3.0, 4.0, 0.0]]


@compiled_only
@pytest.mark.parametrize('overlap', ['last', 'max'])
@pytest.mark.parametrize('negative_indices', ['clip', 'wrap'])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_both_forms_give_the_same_maps_and_gradients(request, dtype, negative_indices, overlap):
    boxes = torch.rand(2, 30, 4) * 120 - 30
    boxes[:, ::2, 2:] = boxes[:, ::2, :2] + torch.rand(2, 15, 2) * 40
    boxes[0, 3, 1], boxes[1, 4, 2] = float('nan'), float('inf')
    weights = torch.arange(60).view(2, 30).mul(37).remainder(60).to(dtype).sub(20).requires_grad_()
    cotangent = torch.randn(2, 12, 20).to(dtype)
    results = []
    for _ in range(2):
        maps, covered = box_weight_maps(
            boxes, weights, (12, 20), stride=5, overlap=overlap, negative_indices=negative_indices
        )
        (gradient,) = torch.autograd.grad(maps, weights, cotangent)
        results.append((maps, covered, gradient))
        request.getfixturevalue('without_kernels')
    (maps, covered, gradient), expected = results
    assert torch.equal(maps, expected[0])
    assert torch.equal(covered, expected[1])
    torch.testing.assert_close(gradient, expected[2])


def test_a_weight_that_is_nan_is_the_largest():
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 4.0], [4.0, 0.0, 12.0, 4.0], [0.0, 0.0, 12.0, 4.0]]])
    weights = torch.tensor([[1.0, float('nan'), 2.0]])
    maps, _ = box_weight_maps(boxes, weights, (1, 4), stride=4, overlap='max')
    assert maps.isnan().tolist() == [[[False, True, True, False]]]
    assert maps[0, 0, 0] == 2


def test_whole_numbers_can_be_painted():
    boxes, weights = torch.tensor([[[0, 0, 8, 4], [4, 0, 12, 4]]]), torch.tensor([[7, 3]])
    for overlap, expected in (('last', [7, 3, 3, 0]), ('max', [7, 7, 3, 0])):
        assert box_weight_maps(boxes, weights, (1, 4), stride=4, overlap=overlap)[0].tolist() == [[expected]]


@pytest.mark.parametrize('overlap', ['last', 'max'])
def test_weights_can_be_batched_and_carry_tangents(overlap):
    boxes, weights = torch.rand(1, 5, 4).cumsum(2) * 10, torch.rand(3, 1, 5)

    def maps(w):
        return box_weight_maps(boxes, w, (6, 6), stride=4, overlap=overlap)[0]

    torch.testing.assert_close(torch.func.vmap(maps)(weights), torch.stack([maps(w) for w in weights]))
    _, tangent = torch.func.jvp(maps, (weights[0],), (weights[0],))
    torch.testing.assert_close(tangent, maps(weights[0]))


@pytest.mark.parametrize('overlap', ['last', 'max'])
def test_weight_of_an_empty_slot_can_be_anything(overlap):
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 0.0, 0.0]]])
    maps, _ = box_weight_maps(boxes, torch.tensor([[0.5, float('nan')]]), (3, 3), stride=4, overlap=overlap)
    assert maps.sum() == 2.0


def test_images_without_slots_are_empty():
    maps, covered = box_weight_maps(torch.zeros(2, 0, 4), torch.zeros(2, 0), (3, 5), stride=8)
    assert maps.shape == covered.shape == (2, 3, 5)
    assert not covered.any()


@pytest.mark.parametrize(('boxes', 'weights'), [((2, 3, 4), (2, 4)), ((2, 3, 5), (2, 3)), ((3, 4), (3,))])
def test_wrong_shapes_are_named(boxes, weights):
    with pytest.raises(ShapeError, match=r'expected \(B, N, 4\) and \(B, N\)'):
        box_weight_maps(torch.zeros(boxes), torch.zeros(weights), (3, 3), stride=4)
