"""Depth maps as pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from mono_distill.utils.errors import ShapeError
from mono_distill.visualization.picture import Picture

_FAR = 1e6


def colorize_depth(depth: Any, *, min_depth: float = 2.0, max_depth: float = 80.0, dilate: int = 0) -> Picture:
    """Colour a depth map: near is red, far is blue, missing is black.

    The scale is logarithmic, so that the same relative difference of depth looks alike near and far.

    Args:
        depth: (H, W) or (1, H, W) metres, 0 where missing; array or tensor.
        min_depth: Depth, metres, at which the colours saturate at the near end.
        max_depth: Depth, metres, at which they saturate at the far end.
        dilate: Pixels by which single measurements are widened, so that sparse maps can be seen.

    Returns:
        (H, W, 3) picture.

    Raises:
        ShapeError: ``depth`` has another shape.

    Example:
        >>> colorize_depth(np.array([[0.0, 10.0]])).tolist()[0][0]
        [0, 0, 0]
    """
    metres = np.asarray(depth.detach().cpu() if hasattr(depth, 'detach') else depth, dtype=np.float32)
    if metres.ndim == 3 and metres.shape[0] == 1:
        metres = metres[0]
    if metres.ndim != 2:
        raise ShapeError(f'a depth map must be (H, W) or (1, H, W), got {metres.shape}')
    if dilate:
        metres = _widen(metres, dilate)
    missing = ~(metres > 0)
    bounded = np.clip(np.where(missing, max_depth, metres), min_depth, max_depth)
    nearness = np.log(max_depth / bounded) / np.log(max_depth / min_depth)
    picture = cv2.applyColorMap(np.rint(255 * nearness).astype(np.uint8), cv2.COLORMAP_TURBO)
    picture[missing] = 0
    return picture


def _widen(metres: np.ndarray, radius: int) -> np.ndarray:
    """Let every measurement cover its neighbourhood, nearer ones on top."""
    # OpenCV pads with its largest float, so a missing pixel is marked by a finite distance below that.
    far = np.where(metres > 0, metres, np.float32(_FAR))
    nearest = cv2.erode(far, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8))
    return np.where(nearest >= _FAR, 0, nearest)
