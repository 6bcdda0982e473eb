"""RoIAlign (He et al., Mask R-CNN, arXiv:1703.06870, section 3), in pure PyTorch.

Average pooling is a sparse linear map from pixels to bins. Its entries are listed once, as (bin, pixel, weight); the
forward pass sums them by bin and the backward pass the same list by pixel, so the two are exactly transposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mono_distill.utils.errors import DataError

_SAMPLES_PER_CHUNK = 1 << 19
_LOWEST = -10000.0  # mmcv's start value of the maximum, and so the result of a bin without samples
_NO_SAMPLE = -1.0


@dataclass(frozen=True)
class _Bins:
    """Boxes on the feature map, cut into bins with a grid of sampling points each (units: feature pixels)."""

    index: Tensor  # (R,) position of the box among all boxes
    image: Tensor  # (R,) int64
    start: Tensor  # (R, 2) upper left corner, as y, x
    size: Tensor  # (R, 2) size of a bin, as y, x
    grid: Tensor  # (R, 2) int64 sampling points of a bin, as y, x
    shape: tuple[int, int]  # bins of a box: rows, columns

    def take(self, rows: slice) -> _Bins:
        return _Bins(self.index[rows], self.image[rows], self.start[rows], self.size[rows], self.grid[rows], self.shape)


@dataclass(frozen=True)
class _Samples:
    """Sampling points of some boxes, sorted by bin."""

    bin: Tensor  # (S,) int64 position of the bin among the bins of these boxes
    image: Tensor  # (S,) int64
    y: Tensor  # (S,)
    x: Tensor  # (S,)
    share: Tensor  # (S,) 1 / number of samples of the bin


@torch.no_grad()
def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool a feature map inside boxes; the form of ``mmcv._ext.roi_align_forward``.

    Args:
        input: (B, C, H, W) features.
        rois: (R, 5) boxes as (image index, x1, y1, x2, y2) in image pixels.
        output: (R, C, aligned_height, aligned_width), receives the pooled features.
        argmax_y: Like ``output`` for maximum pooling, receives where the maximum was sampled; else empty.
        argmax_x: As ``argmax_y``.
        aligned_height: Rows of bins.
        aligned_width: Columns of bins.
        spatial_scale: Feature pixels per image pixel.
        sampling_ratio: Sampling points of a bin in each direction; 0 for one per feature pixel, rounded up.
        pool_mode: 0 for the maximum, 1 for the average of the sampling points.
        aligned: Whether pixel centres lie at half-integer coordinates.

    Raises:
        DataError: ``aligned`` and a box has x2 < x1 or y2 < y1.
    """
    bins = _bins(rois, (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
    features = _rows_of_pixels(input)
    for chunk in _chunks(bins):
        samples = _samples(chunk, features.dtype)
        count = len(chunk.index) * aligned_height * aligned_width
        if pool_mode == 1:
            pooled = _average(features, samples, input.shape, count)
        else:
            pooled, y, x = _maximum(features, samples, input.shape, count)
            argmax_y[chunk.index] = _as_maps(y, argmax_y)
            argmax_x[chunk.index] = _as_maps(x, argmax_x)
        output[chunk.index] = _as_maps(pooled, output)


@torch.no_grad()
def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of the features to ``grad_input``; the form of ``mmcv._ext.roi_align_backward``.

    Args:
        grad_output: (R, C, aligned_height, aligned_width) gradient of the pooled features.
        rois: As in the forward pass.
        argmax_y: From the forward pass.
        argmax_x: From the forward pass.
        grad_input: (B, C, H, W) zeros, receives the gradient.
        aligned_height: As in the forward pass.
        aligned_width: As in the forward pass.
        spatial_scale: As in the forward pass.
        sampling_ratio: As in the forward pass.
        pool_mode: As in the forward pass.
        aligned: As in the forward pass.
    """
    if pool_mode == 0:
        _backward_of_maximum(grad_output, rois, argmax_y, argmax_x, grad_input)
        return
    batch, channels, height, width = grad_input.shape
    bins = _bins(rois, (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
    for chunk in _chunks(bins):
        gradient = _rows_of_pixels(grad_output[chunk.index])
        samples = _samples(chunk, gradient.dtype)
        pixel, weight = _corners(samples.image, samples.y, samples.x, grad_input.shape)
        weight = weight * samples.share[:, None]
        source = samples.bin[:, None].expand_as(pixel).flatten()
        order = pixel.flatten().argsort(stable=True)
        counts = pixel.flatten().bincount(minlength=batch * height * width)
        by_pixel = _weighted_sums(gradient, source[order], weight.flatten()[order], counts)
        grad_input += by_pixel.view(batch, height, width, channels).permute(0, 3, 1, 2).to(grad_input.dtype)


def _bins(rois: Tensor, shape: tuple[int, int], spatial_scale: float, sampling_ratio: int, aligned: bool) -> _Bins:
    boxes = rois[:, 1:].float() if rois.dtype in (torch.float16, torch.bfloat16) else rois[:, 1:]
    boxes = boxes * spatial_scale - (0.5 if aligned else 0.0)
    start = boxes[:, :2].flip(1)
    extent = boxes[:, 2:].flip(1) - start
    if aligned:
        wrong = (extent < 0).any(dim=1)
        if bool(wrong.any()):
            row = int(wrong.nonzero()[0])
            raise DataError(
                f'RoIAlign: box {row} has x2 < x1 or y2 < y1 ({rois[row, 1:].tolist()}); expected x1, y1, x2, y2'
            )
    else:
        extent = extent.clamp(min=1)  # the older form, which has no half-pixel shift, enlarges small boxes
    size = extent / extent.new_tensor(shape)
    if sampling_ratio > 0:
        grid = torch.full_like(size, sampling_ratio, dtype=torch.long)
    else:
        grid = size.nan_to_num(nan=0.0).ceil().long()
    index = torch.arange(len(rois), device=rois.device)
    return _Bins(index, rois[:, 0].long(), start, size, grid, shape)


def _chunks(bins: _Bins) -> Iterator[_Bins]:
    """Split the boxes so that the sampling points of a chunk fit into memory (a box is never split)."""
    total = (bins.grid.prod(dim=1) * bins.shape[0] * bins.shape[1]).cumsum(0)
    lengths = (total // _SAMPLES_PER_CHUNK).unique_consecutive(return_counts=True)[1].tolist()
    begin = 0
    for length in lengths:
        yield bins.take(slice(begin, begin + length))
        begin += length


def _samples(bins: _Bins, dtype: torch.dtype) -> _Samples:
    rows, columns = bins.shape
    per_bin = bins.grid.prod(dim=1)
    per_box = per_bin * rows * columns
    box = torch.repeat_interleave(torch.arange(len(per_box), device=per_box.device), per_box)
    local = torch.arange(len(box), device=box.device) - (per_box.cumsum(0) - per_box)[box]
    cell, point = local // per_bin[box], local % per_bin[box]
    grid = bins.grid[box]
    cell_yx = torch.stack([cell // columns, cell % columns], dim=1)
    point_yx = torch.stack([point // grid[:, 1], point % grid[:, 1]], dim=1)
    size = bins.size[box]
    y, x = (bins.start[box] + cell_yx * size + (point_yx + 0.5) * size / grid).unbind(1)
    share = 1 / per_bin[box].to(dtype)
    return _Samples(box * rows * columns + cell, bins.image[box], y, x, share)


def _corners(image: Tensor, y: Tensor, x: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return the four pixels around each point, as rows of (B * H * W), and their bilinear weights: both (S, 4).

    Points up to one pixel outside the map take the value of its border, points farther away count as zero.
    """
    height, width = shape[2:]
    outside = (y < -1) | (y > height) | (x < -1) | (x > width)
    low_y, high_y, part_y = _neighbours(y, height)
    low_x, high_x, part_x = _neighbours(x, width)
    top, bottom = (image * height + low_y) * width, (image * height + high_y) * width
    pixel = torch.stack([top + low_x, top + high_x, bottom + low_x, bottom + high_x], dim=1)
    weight = torch.stack(
        [(1 - part_y) * (1 - part_x), (1 - part_y) * part_x, part_y * (1 - part_x), part_y * part_x], dim=1
    )
    return pixel, weight.masked_fill(outside[:, None], 0)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    position = position.nan_to_num(nan=0.0).clamp(0, size - 1)
    low = position.long()
    return low, (low + 1).clamp(max=size - 1), position - low


def _weighted_sums(source: Tensor, rows: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    """Sum weighted rows of ``source`` over consecutive groups of the given sizes; empty groups give zero."""
    starts = counts.cumsum(0) - counts
    return F.embedding_bag(rows, source, starts, mode='sum', per_sample_weights=weights.to(source.dtype))


def _average(features: Tensor, samples: _Samples, shape: torch.Size, count: int) -> Tensor:
    pixel, weight = _corners(samples.image, samples.y, samples.x, shape)
    weight = weight * samples.share[:, None]
    per_bin = samples.bin.bincount(minlength=count) * 4
    return _weighted_sums(features, pixel.flatten(), weight.flatten(), per_bin)


def _maximum(features: Tensor, samples: _Samples, shape: torch.Size, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the largest sample of each bin and where it was taken (y, x), each (bins, C); ties go to the first."""
    pixel, weight = _corners(samples.image, samples.y, samples.x, shape)
    four = torch.full_like(samples.bin, 4)
    values = _weighted_sums(features, pixel.flatten(), weight.flatten(), four)
    channels = features.size(1)
    target = samples.bin[:, None].expand(-1, channels)
    best = features.new_full((count, channels), _LOWEST).scatter_reduce_(0, target, values, 'amax')

    none = len(samples.bin)
    position = torch.arange(none, device=target.device)[:, None].expand(-1, channels)
    winners = torch.where(values == best[samples.bin], position, none)
    first = target.new_full((count, channels), none).scatter_reduce_(0, target, winners, 'amin')
    marker = samples.y.new_full((1,), _NO_SAMPLE)
    return best, torch.cat([samples.y, marker])[first], torch.cat([samples.x, marker])[first]


def _backward_of_maximum(
    grad_output: Tensor, rois: Tensor, argmax_y: Tensor, argmax_x: Tensor, grad_input: Tensor
) -> None:
    channels = grad_input.size(1)
    plane = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=rois.device)
    plane = plane[:, :, None, None].expand_as(argmax_y).flatten()
    y, x = argmax_y.flatten(), argmax_x.flatten()
    index, weight = _corners(plane, y, x, grad_input.shape)
    weight = weight.masked_fill(((y == _NO_SAMPLE) & (x == _NO_SAMPLE))[:, None], 0)
    values = weight * grad_output.flatten()[:, None]
    summed = values.new_zeros(grad_input.numel()).index_add_(0, index.flatten(), values.flatten())
    grad_input += summed.view_as(grad_input).to(grad_input.dtype)


def _rows_of_pixels(maps: Tensor) -> Tensor:
    """Return (B * H * W, C) rows of (B, C, H, W) maps, in at least single precision."""
    rows = maps.permute(0, 2, 3, 1).flatten(0, 2)
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows.contiguous()


def _as_maps(rows: Tensor, like: Tensor) -> Tensor:
    """Return (R, C, rows, columns) maps of (R * rows * columns, C) bins, in the precision of ``like``."""
    return rows.view(-1, *like.shape[2:], like.size(1)).permute(0, 3, 1, 2).to(like.dtype)
