"""Exact overlap of rotated rectangles on the ground plane, on any machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from mono_distill.utils.errors import ConfigError, NonFiniteError, ShapeError

Boxes = TypeVar('Boxes', np.ndarray, torch.Tensor)

CRITERIA = (-1, 0, 1, 2)


def rotated_iou_bev(boxes: Boxes, query_boxes: Boxes, criterion: int = -1) -> Boxes:
    r"""Overlap of every box with every query box, seen from above.

    Convex clipping (Sutherland and Hodgman, Communications of the ACM 17(1), 1974) in float64, compiled by numba. The
    intersection is found in the frame of the query box, so identical boxes have an IoU of exactly 1. mmdet3d's CUDA
    kernel (``rotate_iou_gpu_eval``, float32) loses corners that lie on an edge of the other box: identical rotated
    boxes have an IoU of about 0.2 there.

    Args:
        boxes: (N, 5) boxes (x, z, l, w, ry) in metres and radians, in KITTI's camera frame (x right, z forward). With
            :math:`c = \cos(ry), s = \sin(ry)` the corner at :math:`(a, b)` from the centre, :math:`a = \pm l / 2` and
            :math:`b = \pm w / 2`, lies at :math:`(x + c a + s b,\; z - s a + c b)`.
        query_boxes: (K, 5) boxes of the same kind.
        criterion: What the intersection area is divided by: -1 the union, 0 the area of ``boxes``, 1 the area of
            ``query_boxes``, 2 nothing (the result is the area in m²).

    Returns:
        (N, K) overlaps: a float64 array for arrays; for tensors a tensor of the (floating) dtype and the device of
        ``boxes``, computed on the CPU in float64, without gradient. A box with a side of zero or less overlaps nothing.

    Raises:
        ShapeError: If the boxes are not (N, 5) and (K, 5).
        NonFiniteError: If a box holds NaN or infinity.
        ConfigError: If the criterion is unknown or numba is not installed.

    Example:
        >>> import numpy as np
        >>> box = np.array([[3.0, 20.0, 4.0, 2.0, 0.3]])
        >>> shifted = box + [[0.0, 0.0, 0.0, 0.0, np.pi]]
        >>> rotated_iou_bev(box, shifted).round(12)
        array([[1.]])
        >>> rotated_iou_bev(np.array([[0, 0, 4, 2, 0.0]]), np.array([[1, 0, 4, 2, 0.0]]), criterion=2)
        array([[6.]])
    """
    if criterion not in CRITERIA:
        raise ConfigError(f'criterion must be one of {CRITERIA}, got {criterion!r}.')
    overlaps = _kernel()(_checked(boxes, 'boxes'), _checked(query_boxes, 'query_boxes'), criterion)
    if isinstance(boxes, torch.Tensor):
        dtype = boxes.dtype if boxes.is_floating_point() else torch.float64
        return torch.from_numpy(overlaps).to(boxes.device, dtype)
    return overlaps


def _checked(boxes: np.ndarray | torch.Tensor, name: str) -> np.ndarray:
    """Return contiguous float64 boxes, or raise an error that names the argument and the first bad row."""
    array = boxes.detach().cpu().double().numpy() if isinstance(boxes, torch.Tensor) else np.asarray(boxes)
    if array.ndim != 2 or array.shape[1] != 5:
        raise ShapeError(f'{name} must be (N, 5) boxes (x, z, l, w, ry), got shape {tuple(array.shape)}.')
    array = np.ascontiguousarray(array, dtype=np.float64)
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise NonFiniteError(f'{name} must be finite, but row {row} is {array[row].tolist()}.')
    return array


def _kernel() -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    # Imported on first use: numba takes about half a second, and the losses beside this module do not need it.
    try:
        from mono_distill.ops._rotated_iou_kernel import rotated_overlaps
    except ModuleNotFoundError as error:
        if error.name != 'numba':
            raise
        raise ConfigError('rotated_iou_bev needs numba, which is not installed: run "pip install numba".') from error
    return rotated_overlaps
