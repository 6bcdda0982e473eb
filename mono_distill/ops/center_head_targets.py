"""Training targets of CenterPoint-type heads, all objects of the batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from mono_distill.ops.gaussian_heatmap import gaussian_heatmaps, heatmap_radii
from mono_distill.ops.point_sampler import Range, check_range
from mono_distill.utils.errors import ConfigError, ShapeError


class CenterHeadTargets(NamedTuple):
    """Targets of every task of the head, as mmdet3d's ``CenterHead.get_targets`` returns them.

    Attributes:
        heatmaps: Per task ``(B, classes, H, W)``.
        boxes: Per task ``(B, M, 10)``: offset x and y in cells, z in metres, dx, dy, dz (logarithms by default), sine
            and cosine of yaw, velocity x and y. Eight columns if the boxes have no velocity.
        indices: Per task ``(B, M)`` int64, cell ``y * W + x`` of each object.
        masks: Per task ``(B, M)`` bool, the slots that hold an object.
    """

    heatmaps: list[Tensor]
    boxes: list[Tensor]
    indices: list[Tensor]
    masks: list[Tensor]


def center_head_targets(
    boxes: Tensor,
    labels: Tensor,
    classes_per_task: Sequence[int],
    size: tuple[int, int],
    *,
    x_range: Range,
    y_range: Range,
    max_objects: int = 500,
    min_overlap: float = 0.1,
    min_radius: int = 2,
    log_sizes: bool = True,
    max_radius: int | None = None,
) -> CenterHeadTargets:
    """Assign objects to cells as mmdet3d's ``CenterHead.get_targets`` does, without its loop over objects.

    Slots are filled as there: class after class in the order of the labels, the objects of a class in the order given.
    An object off the map, or with dx or dy of zero, leaves its slot empty (a height of zero is kept, as there, and its
    logarithm is minus infinity: filter such boxes), and those beyond ``max_objects`` of a task are
    left out. A centre less than a cell outside the left or lower edge counts to the first cell, as there (truncation
    towards zero). The result depends on the truncation of positions and radii, so a difference in the last bit of
    float32 can move an object that lies exactly on a border.

    Args:
        boxes: ``(B, N, 9)`` or ``(B, N, 7)``: x, y, z, dx, dy, dz, yaw (, velocity x, y) in metres and radians, z of
            the gravity centre (``tensor`` of mmdet3d's boxes holds the bottom: add dz / 2).
        labels: ``(B, N)`` integers, counting through the tasks; -1, and any number out of range, is padding.
        classes_per_task: Number of classes of each task; nuScenes: ``(1, 2, 2, 1, 2, 2)``.
        size: Map ``(H, W)``, H along y and W along x.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        max_objects: M, slots of a task.
        min_overlap: Overlap that a box at the rim of the Gaussian still has.
        min_radius: Smallest radius of a Gaussian in cells.
        log_sizes: Whether sizes are logarithms (``norm_bbox`` of the head).
        max_radius: See :func:`mono_distill.ops.gaussian_heatmap.gaussian_heatmaps`.

    Raises:
        ShapeError: Boxes and labels do not fit.
        ConfigError: There are no tasks, a range is empty or ``min_radius`` is negative.

    Example:
        >>> boxes = torch.tensor([[[2.5, 1.0, 0.0, 4.0, 2.0, 1.5, 0.0]]])
        >>> targets = center_head_targets(
        ...     boxes, torch.tensor([[1]]), [1, 1], (2, 4), x_range=(0.0, 4.0), y_range=(0.0, 2.0), max_objects=1
        ... )
        >>> targets.indices[1], targets.masks[0]
        (tensor([[6]]), tensor([[False]]))
        >>> targets.boxes[1][0, 0, :2]
        tensor([0.5000, 0.0000])
    """
    _check(boxes, labels, classes_per_task)
    check_range(x_range, 'x_range')
    check_range(y_range, 'y_range')
    height, width = size
    num_classes = sum(classes_per_task)
    # float32 throughout, as the head: half precision cannot address a map of 512 cells.
    boxes, labels, tasks, slots = _slots(boxes.detach().float(), labels, classes_per_task)
    cell_x, cell_y = (x_range[1] - x_range[0]) / width, (y_range[1] - y_range[0]) / height
    centres = torch.stack([(boxes[..., 0] - x_range[0]) / cell_x, (boxes[..., 1] - y_range[0]) / cell_y], -1)
    lengths, widths = boxes[..., 3] / cell_x, boxes[..., 4] / cell_y
    drawn = (labels < num_classes) & (slots < max_objects) & (lengths > 0) & (widths > 0)
    # The number truncates to 0 .. W - 1; not finite fails.
    drawn &= (centres > -1).all(-1) & (centres[..., 0] < width) & (centres[..., 1] < height)
    cells = torch.where(drawn.unsqueeze(-1), centres, 0).trunc().long()
    heatmaps = gaussian_heatmaps(
        cells,
        heatmap_radii(widths, lengths, min_overlap=min_overlap, min_radius=min_radius),
        size,
        classes=labels,
        num_classes=num_classes,
        valid=drawn,
        max_radius=max_radius,
    )
    codes = _codes(boxes, centres - cells, log_sizes)
    # What is not drawn goes to one more slot at the end.
    total = len(classes_per_task) * max_objects
    places = torch.where(drawn, tasks * max_objects + slots, total)
    slotted = boxes.new_zeros(len(boxes), total + 1, codes.shape[-1])
    slotted.scatter_(1, places.unsqueeze(-1).expand_as(codes), codes)
    indices = cells.new_zeros(len(boxes), total + 1).scatter_(1, places, cells[..., 1] * width + cells[..., 0])
    masks = drawn.new_zeros(len(boxes), total + 1).scatter_(1, places, drawn)
    return CenterHeadTargets(
        list(heatmaps.split(list(classes_per_task), 1)),
        *([*x[:, :total].unflatten(1, (-1, max_objects)).unbind(1)] for x in (slotted, indices, masks)),
    )


def _slots(boxes: Tensor, labels: Tensor, classes_per_task: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Order the objects by label; return boxes, labels, task and place within the task, ``(B, N, ...)``.

    Padding comes last, with a label of the number of classes.
    """
    starts = [0, *accumulate(classes_per_task)]
    known = (labels >= 0) & (labels < starts[-1])
    labels, order = torch.where(known, labels, starts[-1]).long().sort(dim=1, stable=True)
    boxes = boxes.gather(1, order.unsqueeze(-1).expand_as(boxes))
    # A handful of comparisons instead of a table, which would be copied to the device while the host waits.
    tasks = torch.stack([labels >= start for start in starts[1:-1]]).sum(0) if starts[1:-1] else labels * 0
    begins = torch.stack([(labels < start).sum(1) for start in starts[:-1]], 1)
    slots = torch.arange(labels.shape[1], device=labels.device) - begins.gather(1, tasks)
    return boxes, labels, tasks, slots


def _codes(boxes: Tensor, offsets: Tensor, log_sizes: bool) -> Tensor:
    """What the head regresses, ``(B, N, 10)`` or ``(B, N, 8)``."""
    sizes, yaw = boxes[..., 3:6], boxes[..., 6:7]
    sizes = sizes.log() if log_sizes else sizes
    return torch.cat([offsets, boxes[..., 2:3], sizes, yaw.sin(), yaw.cos(), boxes[..., 7:]], -1)


def _check(boxes: Tensor, labels: Tensor, classes_per_task: Sequence[int]) -> None:
    if boxes.dim() != 3 or boxes.shape[-1] not in (7, 9) or labels.shape != boxes.shape[:2]:
        raise ShapeError(
            f'center_head_targets: boxes {tuple(boxes.shape)} and labels {tuple(labels.shape)}; expected (B, N, 7) or '
            '(B, N, 9), and (B, N).'
        )
    if not classes_per_task or min(classes_per_task) < 1:
        raise ConfigError(
            f'center_head_targets: every task needs a class, got classes_per_task={list(classes_per_task)}.'
        )
