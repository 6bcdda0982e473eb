"""Tests of mono_distill.ops.roi_align."""

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import mmcv.ops
import pytest
import torch

from mono_distill.ops._compiled import roi_kernels
from mono_distill.ops.roi_align import pool_boxes, roi_align, roi_align_weights
from mono_distill.utils.errors import ConfigError, ShapeError


@pytest.fixture
def without_kernels(monkeypatch):
    monkeypatch.setattr(sys.modules[pool_boxes.__module__], 'roi_kernels', lambda: None)


@pytest.fixture(autouse=True, params=['compiled', 'products'])
def form(request):
    """Every test runs with the compiled kernels and with matrix products."""
    if request.param == 'products':
        request.getfixturevalue('without_kernels')
    elif roi_kernels() is None:
        pytest.skip('numba is not installed')


compiled_only = pytest.mark.parametrize('form', ['compiled'], indirect=True)


def random_boxes(images=2, slots=12, reach=90.0):
    """Boxes of any size, inside, across the border of and beyond a map of some tens of pixels."""
    corner = torch.rand(images, slots, 2, dtype=torch.float64) * reach - reach / 4
    extent = torch.rand(images, slots, 2, dtype=torch.float64) ** 3 * reach
    return torch.cat([corner, corner + extent], 2)


def read(image, y, x):
    """A map (H, W) at a point: bilinear, the border's value up to a pixel outside, zero beyond."""
    height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    a, b = y - top, x - left
    upper = (1 - b) * image[top][left] + b * image[top][right]
    lower = (1 - b) * image[bottom][left] + b * image[bottom][right]
    return float((1 - a) * upper + a * lower)


def point_by_point(image, box, bins, sampling_ratio, aligned):
    """RoIAlign of a map (H, W) and a box in map pixels, by its definition."""
    x1, y1, x2, y2 = (float(v) - 0.5 * aligned for v in box)
    sizes = [(y2 - y1) / bins, (x2 - x1) / bins]
    if not aligned:
        sizes = [max(size, 1 / bins) for size in sizes]
    grid = [sampling_ratio or math.ceil(size) for size in sizes]
    pooled = torch.zeros(bins, bins, dtype=torch.float64)
    for row in range(bins):
        for column in range(bins):
            for i in range(grid[0]):
                for j in range(grid[1]):
                    y = y1 + row * sizes[0] + (i + 0.5) * sizes[0] / grid[0]
                    x = x1 + column * sizes[1] + (j + 0.5) * sizes[1] / grid[1]
                    pooled[row, column] += read(image, y, x) / (grid[0] * grid[1])
    return pooled


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 1, 3])
def test_result_is_the_mean_of_the_points_of_each_bin(sampling_ratio, aligned):
    image, boxes = torch.randn(5, 9, dtype=torch.float64), random_boxes(1, 10, reach=14.0)
    pooled = roi_align(image[None, None], boxes, 3, sampling_ratio=sampling_ratio, aligned=aligned)
    for box, ours in zip(boxes[0], pooled[0, :, 0], strict=True):
        expected = point_by_point(image, box, 3, sampling_ratio, aligned)
        torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 2])
@pytest.mark.parametrize('size', [(1, 1), (11, 20)])
def test_result_and_gradient_are_those_of_mmcv(size, sampling_ratio, aligned):
    features = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    boxes, cotangent = random_boxes(), torch.randn(2, 12, 3, 7, 7, dtype=torch.float64)
    image = torch.arange(2, dtype=torch.float64).repeat_interleave(12).unsqueeze(1)
    rows = torch.cat([image, boxes.flatten(0, 1) / 4], 1)
    expected = mmcv.ops.roi_align(features, rows, (7, 7), 1.0, sampling_ratio, 'avg', aligned).view_as(cotangent)
    ours = roi_align(features, boxes, stride=4, sampling_ratio=sampling_ratio, aligned=aligned)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(x, features, cotangent)[0] for x in (ours, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('level', [8, 16, 32])
@pytest.mark.parametrize('case', ['clean', 'quirk'])
@pytest.mark.parametrize(('side', 'gram'), [('student', 'affS'), ('teacher', 'affT')])
def test_inner_products_of_boxes_equal_official_ones(golden, side, gram, case, level):
    data = golden('monostl_feature_relation')
    features = torch.from_numpy(data[f'{side}3_{[8, 16, 32].index(level)}']).double()
    rows = torch.from_numpy(data[f'rois_{case}_s{level}']).double()
    # Each row names its image; here every image gets all boxes and the rows pick theirs.
    pooled = roi_align(features, rows[:, 1:].expand(2, -1, -1))
    vectors = pooled.flatten(2)[rows[:, 0].long(), torch.arange(len(rows))]
    torch.testing.assert_close(vectors @ vectors.T, torch.from_numpy(data[f'{gram}_{case}_s{level}']))


def test_bins_of_a_plane_hold_its_value_at_their_centres():
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing='ij')
    box = torch.tensor([[[4.3, 2.2, 25.1, 17.9]]])
    pooled = roi_align((3 * x - 2 * y)[None, None], box)[0, 0, 0]
    centres = (torch.arange(7) + 0.5) / 7
    expected_x, expected_y = 4.3 + 20.8 * centres - 0.5, 2.2 + 15.7 * centres - 0.5
    torch.testing.assert_close(pooled, 3 * expected_x - 2 * expected_y.unsqueeze(1))


def test_pixel_of_a_box_on_the_grid_is_read_as_it_is():
    image = torch.randn(1, 2, 6, 8)
    pooled = roi_align(image, torch.tensor([[[2.0, 1.0, 6.0, 5.0]]]), 4)
    torch.testing.assert_close(pooled[0, 0], image[0, :, 1:5, 2:6])


def test_weights_of_a_bin_add_up_to_its_share_inside():
    boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0], [-8.0, 0.0, 8.0, 8.0], [100.0, 0.0, 120.0, 8.0]]])
    rows, columns = roi_align_weights(boxes, (8, 8), 2)
    torch.testing.assert_close(rows.sum(-1), torch.ones(1, 3, 2, dtype=torch.float64))
    # The left half of the second box has points at -8 ... -1: only the last is within a pixel of the map.
    assert columns.sum(-1).tolist() == [[[1.0, 1.0], [0.125, 1.0], [0.0, 0.0]]]


def test_points_exactly_one_pixel_outside_still_read_the_border():
    image = torch.arange(1.0, 5.0).expand(1, 1, 4, 4)
    boxes = torch.tensor([[[-1.0, 0.0, 0.0, 1.0], [4.0, 0.0, 5.0, 1.0], [-1.1, 0.0, -0.1, 1.0], [4.1, 0.0, 5.1, 1.0]]])
    assert roi_align(image, boxes, 1).flatten().tolist() == [1.0, 4.0, 0.0, 0.0]


@pytest.mark.parametrize(('x', 'y'), [(3.0, 2.0), (3.5, 2.5)])
def test_a_box_without_area_reads_its_corner_if_the_number_of_points_is_fixed(x, y):
    image = torch.arange(30.0).view(1, 1, 5, 6)
    pooled = roi_align(image, torch.tensor([[[x, y, x, y]]]), 2, sampling_ratio=2)
    torch.testing.assert_close(pooled, torch.full((1, 1, 1, 2, 2), (y - 0.5) * 6 + x - 0.5))


def test_gradient_stays_inside_the_box():
    features = torch.randn(1, 2, 12, 16, requires_grad=True)
    pooled = roi_align(features, torch.tensor([[[4.0, 3.0, 9.0, 8.0]]]))
    (gradient,) = torch.autograd.grad(pooled.square().sum(), features)
    touched = gradient.any(1)[0].nonzero()
    # Points lie at most half a pixel inside the box, so they read at most the pixels that touch its border.
    assert touched.amin(0).tolist() == [2, 3]
    assert touched.amax(0).tolist() == [8, 9]


def test_gradient_equals_finite_differences():
    features = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    boxes = random_boxes(2, 3, reach=8.0)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, boxes, 2), features, fast_mode=True)


def test_derivatives_of_any_order_and_direction():
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    boxes = random_boxes(2, 3, reach=8.0)

    def curved(x):
        return roi_align(x, boxes, 2).square()

    assert torch.autograd.gradcheck(curved, features, fast_mode=True, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(curved, features, fast_mode=True, check_fwd_over_rev=True)


@compiled_only
@pytest.mark.parametrize('channels', [1, 32, 45])
@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_both_forms_give_the_same_values_and_gradients(request, dtype, channels):
    features = torch.randn(2, channels, 23, 40, dtype=dtype).to(memory_format=torch.channels_last).requires_grad_()
    weights = [w.to(dtype) for w in roi_align_weights(random_boxes(), (23, 40), stride=2)]
    cotangent = torch.randn(2, 12, channels, 7, 7, dtype=dtype)
    results = []
    for _ in range(2):
        pooled = pool_boxes(features, *weights)
        results.append((pooled, *torch.autograd.grad(pooled, features, cotangent)))
        request.getfixturevalue('without_kernels')
    torch.testing.assert_close(results[0], results[1])


def test_gradient_reaches_weights_that_ask_for_it():
    features = torch.randn(1, 2, 4, 5, dtype=torch.float64)
    rows, columns = (torch.rand(1, 3, 2, n, dtype=torch.float64, requires_grad=True) for n in (4, 5))
    assert torch.autograd.gradcheck(pool_boxes, (features, rows, columns), fast_mode=True)


def test_threads_do_not_disturb_each_other():
    features, boxes = torch.randn(2, 40, 23, 40), [random_boxes() for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        pooled = list(pool.map(lambda b: roi_align(features, b, stride=2), boxes))
    for ours, b in zip(pooled, boxes, strict=True):
        torch.testing.assert_close(ours, roi_align(features, b, stride=2))


@compiled_only
def test_a_pixel_that_is_nan_is_seen_by_boxes_that_read_it():
    features = torch.ones(1, 1, 8, 8)
    features[..., 6, 6] = float('nan')
    pooled = roi_align(features, torch.tensor([[[0.0, 0.0, 4.0, 4.0], [4.0, 4.0, 8.0, 8.0]]]), 2)
    assert pooled[0, 0].isfinite().all()
    assert pooled[0, 1, 0].isnan().tolist() == [[False, False], [False, True]]


@pytest.mark.parametrize('box', [[0.0, 0.0, 0.0, 0.0], [9.0, 9.0, 4.0, 4.0], [500.0, 500.0, 540.0, 520.0]])
def test_empty_reversed_and_far_boxes_pool_zeros(box):
    assert not roi_align(torch.ones(1, 2, 8, 8), torch.tensor([[box]])).any()


def test_images_without_boxes_pool_nothing():
    features = torch.ones(2, 3, 8, 8, requires_grad=True)
    pooled = roi_align(features, torch.zeros(2, 0, 4))
    assert pooled.shape == (2, 0, 3, 7, 7)
    assert pooled.requires_grad


def test_boxes_of_an_image_read_that_image():
    features, boxes = torch.randn(2, 3, 8, 10), torch.rand(2, 4, 4).cumsum(2) * 3
    pooled = roi_align(features, boxes)
    torch.testing.assert_close(roi_align(features.flip(0), boxes.flip(0)), pooled.flip(0))
    torch.testing.assert_close(roi_align(features[1:], boxes[1:]), pooled[1:])


def test_maps_of_one_size_share_the_weights():
    boxes, features = random_boxes().float(), torch.randn(2, 3, 11, 20)
    weights = roi_align_weights(boxes, (11, 20), stride=4)
    assert torch.equal(pool_boxes(features, *weights), roi_align(features, boxes, stride=4))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float64])
def test_result_has_the_precision_of_the_features(dtype):
    assert roi_align(torch.ones(1, 2, 8, 8, dtype=dtype), torch.tensor([[[1.0, 1.0, 6.0, 6.0]]])).dtype == dtype


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_graph_is_captured_whole(layout):
    features, boxes = torch.randn(2, 3, 11, 20).to(memory_format=layout), random_boxes().float()
    compiled = torch.compile(roi_align, fullgraph=True, backend='aot_eager')
    torch.testing.assert_close(compiled(features, boxes, stride=4), roi_align(features, boxes, stride=4))


@pytest.mark.parametrize(
    ('features', 'boxes', 'message'),
    [
        ((3, 8, 8), (1, 2, 4), r'features have shape \(3, 8, 8\), expected \(B, C, H, W\)'),
        ((1, 3, 8, 8), (2, 4), r'boxes have shape \(2, 4\), expected \(B, N, 4\)'),
        ((1, 3, 8, 8), (1, 2, 5), r'boxes have shape \(1, 2, 5\), expected \(B, N, 4\)'),
        ((1, 3, 8, 8), (2, 2, 4), 'features of 1 images and boxes of 2; give each image its list'),
    ],
)
def test_wrong_shapes_are_named(features, boxes, message):
    with pytest.raises(ShapeError, match=message):
        roi_align(torch.zeros(features), torch.zeros(boxes))


@pytest.mark.parametrize(('options', 'message'), [(dict(bins=0), 'bins=0'), (dict(sampling_ratio=-1), 'ratio=-1')])
def test_impossible_grids_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        roi_align(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4), **options)
