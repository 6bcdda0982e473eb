"""Feature maps as pictures."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from mono_distill.utils.errors import ConfigError, ShapeError
from mono_distill.visualization.lidar_geometry import as_array
from mono_distill.visualization.picture import Picture


def draw_feature_map(
    feature: Any, *, size: int | None = None, from_above: bool = True, quantile: float = 0.995
) -> Picture:
    r"""Show how strong a feature map is at each place: the norm over its channels, dark to bright.

    .. math:: I[y, x] = \min(1, \lVert F[:, y, x] \rVert_2 / q)

    where q is a high quantile of the norms of this map, so that single peaks do not darken the rest. Brightness can be
    compared within a map, not between maps.

    Args:
        feature: (C, H, W), or (H, W) for a map that is drawn as it is, such as a heat map of one class.
        size: Height of the picture, pixels; the width follows. None: one pixel per cell.
        from_above: Whether rows grow with y (ahead), as in maps seen from above; they are drawn with ahead up.
        quantile: Which of the norms is drawn brightest.

    Returns:
        (H', W', 3) picture; places that are not finite are magenta.

    Raises:
        ConfigError: ``quantile`` is outside (0, 1], or ``size`` below 1.
        ShapeError: ``feature`` has another shape.

    Example:
        >>> draw_feature_map(np.ones((4, 2, 3)), size=20).shape
        (20, 30, 3)
    """
    if not 0 < quantile <= 1 or (size is not None and size < 1):
        raise ConfigError(f'draw_feature_map: expected 0 < quantile <= 1 and size >= 1, got {quantile} and {size}')
    array = as_array(feature)
    if array.ndim not in (2, 3) or array.size == 0:
        raise ShapeError(f'a feature map must be (C, H, W) or (H, W), got {array.shape}; take one sample of a batch')
    norm = np.linalg.norm(array, axis=0) if array.ndim == 3 else np.abs(array)
    broken = ~np.isfinite(norm)
    norm = np.where(broken, 0.0, norm)
    bright = np.quantile(norm, quantile) or norm.max() or 1.0
    picture = cv2.applyColorMap(np.rint(255 * np.minimum(norm / bright, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)
    picture[broken] = (255, 0, 255)
    if from_above:
        picture = picture[::-1]
    if size is not None:
        width = max(1, round(size * picture.shape[1] / picture.shape[0]))
        picture = cv2.resize(picture, (width, size), interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(picture)
