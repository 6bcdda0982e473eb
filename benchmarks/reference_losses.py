"""The straightforward forms that benchmarks/losses.py compares with.

They follow the descriptions of the official MonoSKD and MonoDistill losses step by step: general interpolation, a sort
and a sequential pool-adjacent-violators walk per row for the soft rank, loops over objects for masks, boolean gathers.
Written anew for comparison; nothing else uses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

try:
    from numba import njit
except ImportError:  # the walk then runs as plain Python
    njit = None

try:
    import torchsort
except ImportError:
    torchsort = None


def _walk(values, sizes, means):
    """Sequential pool-adjacent-violators for one row; returns the number of pools."""
    pools = 0
    for i in range(values.shape[0]):
        mean, size = values[i], 1
        while pools > 0 and means[pools - 1] < mean:
            pools -= 1
            mean = (mean * size + means[pools] * sizes[pools]) / (size + sizes[pools])
            size += sizes[pools]
        means[pools], sizes[pools] = mean, size
        pools += 1
    return pools


walk_python = _walk
walk = njit(cache=False)(_walk) if njit else _walk


class SequentialSoftRank(torch.autograd.Function):
    """L2 soft rank with one sequential walk per row, forward and backward."""

    @staticmethod
    def forward(ctx, values, eps, walker):
        """Sort, walk each row, unsort."""
        rows, n = values.shape
        ordered, order = (values / eps).sort(1, descending=True)
        ranks = torch.arange(n, 0, -1, dtype=values.dtype)
        gaps = (ordered - ranks).double().cpu().numpy()
        fitted, sizes = np.empty((rows, n)), []
        for row in range(rows):
            size, mean = np.empty(n, np.int64), np.empty(n)
            pools = walker(gaps[row], size, mean)
            fitted[row] = np.repeat(mean[:pools], size[:pools])
            sizes.append(torch.from_numpy(size[:pools].copy()).to(values.device))
        ctx.order, ctx.sizes, ctx.eps = order, sizes, eps
        primal = ordered - torch.from_numpy(fitted).to(values)
        return torch.empty_like(primal).scatter_(1, order, primal)

    @staticmethod
    def backward(ctx, cotangent):
        """Subtract the mean over each pool."""
        ordered = cotangent.gather(1, ctx.order)
        means = [
            torch.segment_reduce(row, 'mean', lengths=size).repeat_interleave(size)
            for row, size in zip(ordered, ctx.sizes, strict=True)
        ]
        return torch.zeros_like(cotangent).scatter_(1, ctx.order, (ordered - torch.stack(means)) / ctx.eps), None, None


def shrink(features: list[Tensor]) -> list[Tensor]:
    """Resize all levels to the last by general interpolation."""
    return [F.interpolate(x, size=features[-1].shape[2:], mode='bilinear') for x in features]


def spearman_one_sided(student: list[Tensor], teacher: list[Tensor], ranked: str, eps: float = 1.0) -> Tensor:
    """Correlation over the batch with one side soft-ranked."""
    total = 0.0
    for s, t in zip(shrink(student), shrink(teacher), strict=True):
        s, t = s.flatten(1), t.flatten(1)
        if ranked == 'teacher':
            t = SequentialSoftRank.apply(t, eps, walk) / t.shape[1]
        else:
            s = SequentialSoftRank.apply(s, eps, walk) / s.shape[1]
        s, t = s - s.mean(), t - t.mean()
        total = total + 1 - (s / s.norm() * (t / t.norm())).sum()
    return total


def average_ranks(values: Tensor) -> Tensor:
    """Hard ranks by ``scipy.stats.rankdata``."""
    from scipy.stats import rankdata

    return torch.from_numpy(rankdata(values.cpu().numpy(), axis=1)).to(values.device)


def spearman_two_sided(student: list[Tensor], teacher: list[Tensor], eps: float) -> Tensor:
    """Correlation per image of a soft-ranked student with a hard-ranked teacher."""
    total = 0.0
    for s, t in zip(shrink(student), shrink(teacher), strict=True):
        s, t = s.flatten(1).double(), average_ranks(t.flatten(1))
        s = SequentialSoftRank.apply(s, eps * s.detach().std(1, keepdim=True, correction=0) / s.shape[1], walk)
        s, t = s - s.mean(1, keepdim=True), t - t.mean(1, keepdim=True)
        total = total + (1 - F.cosine_similarity(s, t)).mean()
    return total


def affinity(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Two Gram matrices per level and their distance."""
    total = 0.0
    for s, t in zip(shrink(student), shrink(teacher), strict=True):
        s, t = s.flatten(2), t.flatten(2)
        gram_s, gram_t = torch.bmm(s.permute(0, 2, 1), s), torch.bmm(t.permute(0, 2, 1), t)
        total = total + F.l1_loss(gram_s, gram_t) / s.shape[0]
    return total


def local_affinity(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Gram matrices of the tiles, of the size of the last level, one tile after another."""
    height, width = student[-1].shape[2:]
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        distances = []
        for y in range(0, s.shape[2], height):
            for x in range(0, s.shape[3], width):
                tiles = [f[:, :, y : y + height, x : x + width].flatten(2) for f in (s, t)]
                distances.append(F.l1_loss(*(tile.permute(0, 2, 1) @ tile for tile in tiles)))
        total = total + torch.stack(distances).mean() / s.shape[0]
    return total


def box_mask(boxes: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """Boxes painted one after the other."""
    mask = torch.zeros(boxes.shape[0], *size, dtype=torch.bool)
    for image, image_boxes in enumerate(boxes):
        for box in image_boxes:
            x1, y1, x2, y2 = (max(int(value.item() / stride), 0) for value in box)
            mask[image, y1:y2, x1:x2] = True
    return mask


def box_weight_maps(
    boxes: Tensor, weights: Tensor, indices: Tensor, size: tuple[int, int], stride: int
) -> tuple[Tensor, Tensor]:
    """Weights and mask painted one box after the other, with the test for a centre that the official code makes."""
    painted, mask = torch.zeros(boxes.shape[0], *size), torch.zeros(boxes.shape[0], *size, dtype=torch.bool)
    for image, image_boxes in enumerate(boxes):
        for slot, box in enumerate(image_boxes):
            x1, y1, x2, y2 = (max(int(value.item() / stride), 0) for value in box)
            painted[image, y1:y2, x1:x2] = weights[image, slot] if indices[image, slot] != 0 else 0.01
            mask[image, y1:y2, x1:x2] = True
    return painted, mask


def selective_feature(
    student: list[Tensor], teacher: list[Tensor], log_scale: Tensor, targets: dict[str, Tensor], strides: Sequence[int]
) -> Tensor:
    """DASFD with painted maps and gathered pixels."""
    weights = 1 - (-log_scale).exp().clamp(max=1)
    total = 0.0
    for s, t, stride in zip(student, teacher, strides, strict=True):
        size = (s.shape[2], s.shape[3])
        painted, mask = box_weight_maps(targets['bboxes'], weights, targets['indices'], size, stride)
        mask = mask & (t != 0).any(1)
        weight = painted[mask]
        s, t = s.permute(0, 2, 3, 1)[mask], t.permute(0, 2, 3, 1)[mask]
        total = total + (weight * 0.5 * (s - t).square().mean(1)).sum() / mask.sum() / 10
    return total


def selective_relation(
    student: list[Tensor], teacher: list[Tensor], log_scale: Tensor, targets: dict[str, Tensor], strides: Sequence[int]
) -> Tensor:
    """DASRD with a list of the objects of all images and mmcv's RoIAlign (without compiled ops, our stand-in)."""
    from mmcv.ops import roi_align

    images, slots = targets['mask_2d'].nonzero(as_tuple=True)
    boxes = torch.cat([images.unsqueeze(1), targets['bboxes'][images, slots]], 1)
    variance = (2 * log_scale[images, slots]).exp()
    pairs = variance.unsqueeze(0) + variance.unsqueeze(1)
    total = 0.0
    for s, t, stride in zip(student, teacher, strides, strict=True):
        s, t = (roi_align(x, boxes, 7, 1 / stride, 0, 'avg', True).flatten(1) for x in (s, t))
        total = total + 0.5 * ((s @ s.T - t @ t.T).abs() / pairs).mean() / len(boxes) ** 2
    return total


def roi_affinity(
    student: list[Tensor], teacher: list[Tensor], targets: dict[str, Tensor], strides: Sequence[int]
) -> Tensor:
    """DASRD without uncertainty."""
    from mmcv.ops import roi_align

    images, slots = targets['mask_2d'].nonzero(as_tuple=True)
    boxes = torch.cat([images.unsqueeze(1), targets['bboxes'][images, slots]], 1)
    total = 0.0
    for s, t, stride in zip(student, teacher, strides, strict=True):
        s, t = (roi_align(x, boxes, 7, 1 / stride, 0, 'avg', True).flatten(1) for x in (s, t))
        total = total + (s @ s.T - t @ t.T).abs().mean() / len(boxes) ** 2
    return total


def gaussian_mask(boxes: Sequence[Tensor], size: tuple[int, int], stride: int) -> Tensor:
    """Gaussians painted one after the other, then compared with zero."""
    heat = np.zeros((len(boxes), *size))
    for image, image_boxes in enumerate(boxes):
        for box in image_boxes.cpu().numpy() / stride:
            x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
            radius = max(0, int(_radius(box[3] - box[1], box[2] - box[0])))
            span = np.arange(-radius, radius + 1)
            sigma = (2 * radius + 1) / 6
            patch = np.exp(-(span[:, None] ** 2 + span[None] ** 2) / (2 * sigma * sigma))
            top, left = min(y, radius), min(x, radius)
            bottom, right = min(size[0] - y, radius + 1), min(size[1] - x, radius + 1)
            region = heat[image, y - top : y + bottom, x - left : x + right]
            np.maximum(region, patch[radius - top : radius + bottom, radius - left : radius + right], out=region)
    return torch.from_numpy(heat > 0).to(boxes[0].device)


def _radius(height: float, width: float, overlap: float = 0.7) -> float:
    total, area = height + width, height * width
    roots = []
    for a, b, c in [
        (1, total, area * (1 - overlap) / (1 + overlap)),
        (4, 2 * total, area * (1 - overlap)),
        (4 * overlap, -2 * overlap * total, area * (overlap - 1)),
    ]:
        roots.append((b + math.sqrt(b * b - 4 * a * c)) / 2)
    return min(roots)


def foreground(student: list[Tensor], teacher: list[Tensor], boxes: Tensor, strides: tuple[int, ...]) -> Tensor:
    """Masked features gathered, then compared."""
    total = 0.0
    for s, t, stride in zip(student, teacher, strides, strict=True):
        mask = box_mask(boxes, (s.shape[2], s.shape[3]), stride) & (t != 0).any(1)
        s, t = s.permute(0, 2, 3, 1)[mask], t.permute(0, 2, 3, 1)[mask]
        total = total + 0.5 * (s - t).square().mean(1).sum() / mask.sum() / boxes.shape[0]
    return total


def _heading(student: Tensor, teacher: Tensor, bins: Tensor) -> Tensor:
    """Divergence of the bins and difference of the annotated one's residual, of rows (K, 24)."""
    total = F.kl_div(student[:, :12].log_softmax(1), teacher[:, :12].softmax(1), reduction='sum')
    one_hot = F.one_hot(bins, 12).bool()
    return total / student[:, :12].numel() + F.l1_loss(student[:, 12:][one_hot], teacher[:, 12:][one_hot])


def did_response(student: dict[str, Tensor], teacher: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Dense outputs gathered inside the mask, the others in the slots of objects."""
    valid = targets['mask_2d']
    mask = gaussian_mask([boxes[kept] for boxes, kept in zip(targets['bboxes'], valid, strict=True)], (96, 320), 4)
    total = 0.0
    for name in ('offset_2d', 'size_2d'):
        total = total + F.l1_loss(*(head[name].permute(0, 2, 3, 1)[mask] for head in (student, teacher)))
    for name in ('vis_depth', 'att_depth', 'ins_depth', 'offset_3d', 'size_3d'):
        total = total + F.l1_loss(student[name][valid], teacher[name][valid])
    return total + _heading(student['heading'][valid], teacher['heading'][valid], targets['heading_bin'][valid])


def response(student: dict[str, Tensor], teacher: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Each output gathered inside the mask, the heading object by object."""
    mask = gaussian_mask(targets['bboxes'], tuple(student['depth'].shape[2:]), 4)
    total = 0.0
    for name in ('offset_2d', 'size_2d', 'offset_3d', 'size_3d', 'depth'):
        s, t = (head[name].permute(0, 2, 3, 1)[mask] for head in (student, teacher))
        total = total + (F.l1_loss(s[:, :1], t[:, :1]) if name == 'depth' else F.l1_loss(s, t))
    images, slots = targets['mask_2d'].nonzero(as_tuple=True)
    places, bins = targets['indices'][images, slots], targets['heading_bin'][images, slots]
    s, t = (head['heading'].flatten(2).permute(0, 2, 1)[images, places] for head in (student, teacher))
    return total + _heading(s, t, bins)
