"""Foreground, background and false positives of a bird's-eye-view map, with their weights (DistillBEV, ICCV 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import require_shape
from mono_distill.losses.tensor_dict import head_tasks
from mono_distill.ops.bev_box_masks import bev_box_scales
from mono_distill.ops.point_sampler import Range, check_range
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

CellPoint = Literal['center', 'corner']


def bev_regions(
    boxes: Tensor,
    valid: Tensor | None = None,
    teacher_heatmap: Tensor | Sequence[Any] | None = None,
    truth_heatmap: Tensor | Sequence[Any] | None = None,
    *,
    size: tuple[int, int],
    x_range: Range,
    y_range: Range,
    threshold: float = 0.1,
    cell_point: CellPoint = 'center',
) -> dict[str, Tensor]:
    r"""Decompose the map into regions and weight their cells, so that neither large boxes nor the background dominate.

    ================== ======================================================= =======================================
    region             cells                                                   weight of a cell
    ================== ======================================================= =======================================
    ``foreground``     in a rotated box, heights ignored                       :math:`\sqrt{\text{cell area} / (dx\,
                                                                               dy)}`; the smallest box's in an overlap
    ``false_positive`` outside of boxes; the teacher's heatmap is above        1 / their number in the frame
                       ``threshold``, that of the truth below
    ``background``     all others                                              1 / their number in the frame
    ================== ======================================================= =======================================

    Without a teacher's heatmap there are no false positives. The weights are what
    :func:`mono_distill.losses.region_decomposed_loss` takes. The official BEVDet variant tests a corner of the cell,
    not its centre (``mmdet3d/models/detectors/bevdet_distill.py`` line 766), which moves the boxes by half a cell
    (``cell_point='corner'``); its BEVFormer variant tests the centre. Lines 780-843 and 1118-1168 hold the weights;
    the released mode 'average' of false positives is meant here, not the one by connected components.

    Args:
        boxes: ``(B, N, 7)`` or more columns: x, y, z, dx, dy, dz, yaw in metres and radians, in the frame of the map
            (dx along the heading, yaw counter-clockwise from the x axis).
        valid: ``(B, N)`` bool; ``None`` for all.
        teacher_heatmap: Logits of the teacher's class heatmaps ``(B, K, H, W)``, or one such map per task, or the
            outputs of an mmdet3d CenterHead as they come.
        truth_heatmap: The heatmaps it was to learn, in [0, 1], likewise. Without it the boxes alone say what is true.
        size: Map ``(H, W)``, H along y and W along x.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        threshold: Probability from which on the teacher sees an object.
        cell_point: The point of a cell that must lie in a box: its ``'center'``, or, as released, its ``'corner'`` of
            the lowest x and y.

    Returns:
        Name of the region to weights ``(B, H, W)``, 0 outside of the region.

    Raises:
        ShapeError: Boxes, ``valid`` or a heatmap have the wrong shape, or a list of heatmaps is empty.
        ConfigError: An option does not exist or a range is empty.

    Example:
        >>> box = torch.tensor([[[2.0, 1.0, 0.0, 2.0, 2.0, 1.5, 0.0]]])
        >>> regions = bev_regions(box, size=(2, 4), x_range=(0.0, 4.0), y_range=(0.0, 2.0))
        >>> regions['foreground'] + regions['background']
        tensor([[[0.2500, 0.5000, 0.5000, 0.2500],
                 [0.2500, 0.5000, 0.5000, 0.2500]]])
    """
    _check_options(threshold, cell_point)
    if cell_point == 'corner':
        # Lowest corners are the centres of a map that lies half a cell lower.
        x_range, y_range = _half_a_cell_lower(x_range, size[1]), _half_a_cell_lower(y_range, size[0])
    foreground = bev_box_scales(boxes, size, x_range=x_range, y_range=y_range, valid=valid)
    inside = foreground > 0
    shape = (boxes.shape[0], *size)
    seen = torch.zeros_like(inside)
    if teacher_heatmap is not None:
        # Logits of half precision may not hold the threshold's own logit.
        seen = _largest(teacher_heatmap, shape, 'teacher_heatmap').float().sigmoid() > threshold
        if truth_heatmap is not None:
            seen = seen & (_largest(truth_heatmap, shape, 'truth_heatmap') < threshold)
    false_positive = seen & ~inside
    background = ~inside & ~false_positive
    return {
        'foreground': foreground,
        'background': _shared(background, foreground.dtype),
        'false_positive': _shared(false_positive, foreground.dtype),
    }


def _shared(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Give the cells of each image's mask ``(B, H, W)`` equal weights that sum to 1."""
    return mask.to(dtype) / mask.sum((1, 2), keepdim=True).clamp(min=1)


def _largest(heatmaps: Tensor | Sequence[Any], shape: tuple[int, int, int], name: str) -> Tensor:
    """Largest value over the classes of all tasks: ``(B, H, W)``."""
    tasks = [task['heatmap'] if isinstance(task, Mapping) else task for task in head_tasks(heatmaps)]
    if not tasks:
        raise ShapeError(
            f'bev_regions: {name} is an empty list; give one map (B, K, H, W) per task of the head, or None for none.'
        )
    best = []
    for task in tasks:
        classes = task.shape[1] if task.dim() == 4 else 1
        require_shape(task, (shape[0], classes, *shape[1:]), loss='bev_regions', name=name)
        best.append(task.detach().amax(1))
    return torch.stack(best).amax(0)


def _half_a_cell_lower(limits: Range, cells: int) -> Range:
    half = (limits[1] - limits[0]) / cells / 2
    return limits[0] - half, limits[1] - half


def _check_options(threshold: float, cell_point: str) -> None:
    if not 0 < threshold < 1:
        raise ConfigError(f'bev_regions: threshold must be a probability between 0 and 1, got {threshold}.')
    if cell_point not in get_args(CellPoint):
        raise ConfigError(f"bev_regions: cell_point must be 'center' or 'corner', got '{cell_point}'.")


@MODELS.register_module()
class BEVRegions(nn.Module):
    """Module form of :func:`bev_regions`, for the ``targets`` of a distiller.

    Args:
        size: Map ``(H, W)``.
        x_range: x of the left edge of column 0 and of the right edge of the last column, in metres.
        y_range: The same for the rows.
        threshold: Probability from which on the teacher sees an object.
        cell_point: ``'center'``, or ``'corner'`` as released.
    """

    def __init__(
        self,
        size: tuple[int, int],
        x_range: Range,
        y_range: Range,
        *,
        threshold: float = 0.1,
        cell_point: CellPoint = 'center',
    ) -> None:
        super().__init__()
        _check_options(threshold, cell_point)
        check_range(x_range, 'x_range')
        check_range(y_range, 'y_range')
        # Configs hold lists.
        self.size = (size[0], size[1])
        self.x_range = (x_range[0], x_range[1])
        self.y_range = (y_range[0], y_range[1])
        self.threshold = threshold
        self.cell_point: CellPoint = cell_point

    def forward(
        self,
        boxes: Tensor,
        valid: Tensor | None = None,
        teacher_heatmap: Tensor | Sequence[Any] | None = None,
        truth_heatmap: Tensor | Sequence[Any] | None = None,
    ) -> dict[str, Tensor]:
        """See :func:`bev_regions`."""
        return bev_regions(
            boxes,
            valid,
            teacher_heatmap,
            truth_heatmap,
            size=self.size,
            x_range=self.x_range,
            y_range=self.y_range,
            threshold=self.threshold,
            cell_point=self.cell_point,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'size={self.size}, x_range={self.x_range}, y_range={self.y_range}, threshold={self.threshold}, '
            f'cell_point={self.cell_point!r}'
        )
