"""RoIAlign: against plain bilinear sampling, numerical gradients, and compiled mmcv."""

from __future__ import annotations

import math

import pytest
import torch

from mono_distill.compat.lite_ops import roi_align as module
from mono_distill.compat.lite_ops.roi_align import roi_align_backward, roi_align_forward
from mono_distill.utils.errors import DataError

MAX, AVG = 0, 1
SCALE = 0.25


def pool(features, rois, *, size=(3, 2), sampling=2, mode=AVG, aligned=True):
    """Run the op; return its output and the arguments that the backward pass needs."""
    output = features.new_zeros(len(rois), features.size(1), *size)
    where = [torch.zeros_like(output) if mode == MAX else output.new_zeros(0) for _ in range(2)]
    roi_align_forward(features, rois, output, *where, *size, SCALE, sampling, mode, aligned)
    return output, (rois, *where), (*size, SCALE, sampling, mode, aligned)


def gradient(features, upstream, saved, settings):
    result = torch.zeros_like(features)
    roi_align_backward(upstream, *saved, result, *settings)
    return result


def sample(image, y, x):
    """Value of an image (C, H, W) at a point: bilinear, border repeated up to one pixel outside, then zero."""
    height, width = image.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(image[:, 0, 0])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = image[:, top, left] * (1 - (x - left)) + image[:, top, right] * (x - left)
    lower = image[:, bottom, left] * (1 - (x - left)) + image[:, bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def pool_point_by_point(features, rois, *, size=(3, 2), sampling=2, mode=AVG, aligned=True):
    output = features.new_zeros(len(rois), features.size(1), *size)
    for n, (image, *box) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (SCALE * value - (0.5 if aligned else 0) for value in box)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        step_y, step_x = height / size[0], width / size[1]
        grid_y, grid_x = (sampling or math.ceil(step_y)), (sampling or math.ceil(step_x))
        for row in range(size[0]):
            for column in range(size[1]):
                points = [
                    sample(features[int(image)], y1 + (row + (i + 0.5) / grid_y) * step_y,
                           x1 + (column + (j + 0.5) / grid_x) * step_x)
                    for i in range(grid_y) for j in range(grid_x)
                ]  # fmt: skip
                stack = torch.stack(points)
                output[n, :, row, column] = stack.mean(0) if mode == AVG else stack.max(0).values
    return output


def random_case(*, channels=3, count=12, height=10, width=14, dtype=torch.float64):
    """Features of two images and boxes that are inside, across the border and outside."""
    features = torch.randn(2, channels, height, width, dtype=dtype)
    corner = torch.rand(count, 2, dtype=dtype) * torch.tensor([width, height]) / SCALE - 10
    extent = 1 + torch.rand(count, 2, dtype=dtype) * 40
    image = torch.arange(count, dtype=dtype)[:, None] % 2
    return features, torch.cat([image, corner, corner + extent], 1)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('mode', [AVG, MAX])
@pytest.mark.parametrize('sampling', [0, 1, 2])
def test_pools_the_samples_of_each_bin(sampling, mode, aligned):
    features, rois = random_case()
    settings = {'sampling': sampling, 'mode': mode, 'aligned': aligned}
    expected = pool_point_by_point(features, rois, **settings)
    torch.testing.assert_close(pool(features, rois, **settings)[0], expected)


def test_a_linear_ramp_is_sampled_exactly():
    ramp = torch.arange(20.0).expand(1, 1, 20, 20)
    output, *_ = pool(ramp, torch.tensor([[0, 16.0, 16, 48, 48]]), size=(2, 2))
    torch.testing.assert_close(output[0, 0], torch.tensor([[5.5, 9.5], [5.5, 9.5]]))


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('mode', [AVG, MAX])
@pytest.mark.parametrize('sampling', [0, 2])
def test_gradient_is_that_of_the_forward_pass(sampling, mode, aligned):
    class Pool(torch.autograd.Function):
        @staticmethod
        def forward(context, features, rois):
            output, context.saved, context.settings = pool(
                features, rois, sampling=sampling, mode=mode, aligned=aligned
            )
            context.features = features
            return output

        @staticmethod
        def backward(context, upstream):
            return gradient(context.features, upstream, context.saved, context.settings), None

    features, rois = random_case(channels=1, count=4, height=4, width=5)
    assert torch.autograd.gradcheck(Pool.apply, (features.requires_grad_(), rois))


def test_a_box_outside_the_map_pools_zero_and_sends_no_gradient():
    features, _ = random_case()
    rois = torch.tensor([[0, 400.0, 400, 440, 440], [1, -300.0, -300, -200, -200]], dtype=torch.float64)
    output, *rest = pool(features, rois, sampling=0)
    assert output.abs().max() == 0
    assert gradient(features, torch.ones_like(output), *rest).abs().max() == 0


def test_a_box_without_area_pools_zero():
    features, _ = random_case()
    rois = torch.tensor([[0, 8.0, 8, 8, 8]], dtype=torch.float64)
    output, *rest = pool(features, rois, sampling=0)
    assert output.abs().max() == 0
    assert gradient(features, torch.ones_like(output), *rest).abs().max() == 0


def test_a_box_of_nan_pools_zero():
    features, _ = random_case()
    rois = torch.tensor([[0, math.nan, 8, 8, math.nan]], dtype=torch.float64)
    output, *_ = pool(features, rois, sampling=0)
    assert output.abs().max() == 0


def test_no_boxes():
    features, rois = random_case()
    output, *rest = pool(features, rois[:0])
    assert output.shape == (0, 3, 3, 2)
    assert gradient(features, output, *rest).abs().max() == 0


def test_a_box_with_swapped_corners_is_refused():
    features, rois = random_case()
    rois[4] = rois[4, [0, 3, 4, 1, 2]]
    with pytest.raises(DataError, match='box 4 has x2 < x1 or y2 < y1'):
        pool(features, rois)


@pytest.mark.parametrize('mode', [AVG, MAX])
def test_many_samples_are_pooled_in_chunks(monkeypatch, mode):
    features, rois = random_case()
    output, *rest = pool(features, rois, sampling=0, mode=mode)
    upstream = torch.randn_like(output)
    expected = gradient(features, upstream, *rest)
    monkeypatch.setattr(module, '_SAMPLES_PER_CHUNK', 50)
    chunked, *rest = pool(features, rois, sampling=0, mode=mode)
    torch.testing.assert_close(chunked, output)
    torch.testing.assert_close(gradient(features, upstream, *rest), expected)


@pytest.mark.parametrize('mode', [AVG, MAX])
def test_half_precision(mode):
    features, rois = random_case(dtype=torch.float32)
    single, *_ = pool(features.half().float(), rois.half().float(), mode=mode)
    half, *rest = pool(features.half(), rois.half(), mode=mode)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), single, rtol=2e-3, atol=2e-3)
    assert gradient(features.half(), torch.ones_like(half), *rest).isfinite().all()


@pytest.mark.parametrize('mode', ['avg', 'max'])
def test_mmcv_runs_on_top(mode):
    from mmcv.ops import roi_align

    features, rois = random_case(dtype=torch.float32)
    features.requires_grad_()
    output = roi_align(features, rois, (3, 2), SCALE, 0, mode, True)
    expected = pool_point_by_point(features.detach(), rois, sampling=0, mode=AVG if mode == 'avg' else MAX)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    output.sum().backward()
    assert features.grad.abs().sum() > 0


@pytest.mark.full
@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('mode', [AVG, MAX])
@pytest.mark.parametrize('sampling', [0, 1, 3])
def test_equals_compiled_mmcv(sampling, mode, aligned):
    import mmcv._ext as ext

    features, rois = random_case(channels=8, count=60, dtype=torch.float32)
    rois[::7, 3:] = rois[::7, 1:3]  # some without area
    rois[1] += torch.tensor([0, 900.0, 900, 900, 900])  # one outside
    upstream = torch.randn(60, 8, 3, 2)
    results = []
    for forward, backward in ((ext.roi_align_forward, ext.roi_align_backward), (roi_align_forward, roi_align_backward)):
        output = torch.zeros(60, 8, 3, 2)
        where = [torch.zeros_like(output) if mode == MAX else torch.zeros(0) for _ in range(2)]
        settings = (3, 2, SCALE, sampling, mode, aligned)
        forward(features, rois, output, *where, *settings)
        result = torch.zeros_like(features)
        backward(upstream, rois, *where, result, *settings)
        results.append((output, *where, result))
    for expected, actual in zip(*results, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
