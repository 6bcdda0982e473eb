"""Dense depth from sparse LiDAR depth by image morphology, without any learning.

The idea is that of Ku, Harakeh and Waslander, "In Defense of Classical Image Processing: Fast Depth Completion on the
CPU", CRV 2018 (IP-Basic): depths are inverted, so that a dilation lets near surfaces win over far ones; small gaps
close first, large ones after them; a median and a bilateral blur remove outliers while edges stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mono_distill.utils.errors import ConfigError, ShapeError

# Metres between the farthest return and "empty" after inversion: so far off that the bilateral blur never mixes them.
EMPTY_MARGIN = 100.0


@dataclass(frozen=True)
class DepthCompletion:
    """Parameters of :func:`complete_depth`; sizes are odd numbers of pixels.

    Attributes:
        range_limits: Depths (metres) that end the near and the middle range.
        range_kernels: Width of the diamond that spreads near, middle and far returns: near surfaces are seen with
            wider gaps between the scan lines, far objects must not grow.
        close_kernel: Width of the square of the closing that fills gaps between scan lines.
        fill_kernel: Width of the square with which remaining holes are filled from their rim, one rim at a time.
        fill_steps: How often that is done; holes wider than ``fill_steps * (fill_kernel - 1)`` stay partly empty.
        extend_to_top: Whether to copy the highest depth of a column up to the image border. The scan ends below the
            horizon line of trees and houses, so this invents depths; off by default.
        median_kernel: Width of the median blur (3 or 5; 1 for none).
        bilateral_sigma: Standard deviations of the bilateral blur in depth (metres) and in the image (pixels);
            ``None`` leaves it out.
    """

    range_limits: tuple[float, float] = (15.0, 30.0)
    range_kernels: tuple[int, int, int] = (7, 5, 3)
    close_kernel: int = 5
    fill_kernel: int = 5
    fill_steps: int = 16
    extend_to_top: bool = False
    median_kernel: int = 5
    bilateral_sigma: tuple[float, float] | None = (1.5, 2.0)

    def __post_init__(self) -> None:
        sizes = (*self.range_kernels, self.close_kernel, self.fill_kernel)
        if any(size < 1 or size % 2 == 0 for size in sizes):
            raise ConfigError(f'kernel sizes must be odd and positive, got {sizes}')
        if self.median_kernel not in (1, 3, 5):
            raise ConfigError(f'median_kernel must be 1, 3 or 5 (float images), got {self.median_kernel}')
        if self.range_limits[0] > self.range_limits[1]:
            raise ConfigError(f'range_limits must ascend, got {self.range_limits}')


# A scan of 64 lines covers three quarters of the pixels of an image of a quarter of KITTI's height: only gaps of a
# pixel are left. The kernels for full images would let near surfaces swallow cars at 40 m, which are five pixels high.
SMALL_IMAGE = DepthCompletion(
    range_kernels=(3, 1, 1), close_kernel=3, fill_kernel=3, fill_steps=6, median_kernel=1, bilateral_sigma=None
)
SMALL_HEIGHT = 190


def completion_for(shape: tuple[int, ...]) -> DepthCompletion:
    """Return the parameters for an image of ``shape`` (H, W, ...) that shows KITTI's field of view.

    Example:
        >>> completion_for((375, 1242)) == DepthCompletion(), completion_for((94, 310)) == SMALL_IMAGE
        (True, True)
    """
    return SMALL_IMAGE if shape[0] <= SMALL_HEIGHT else DepthCompletion()


def complete_depth(sparse: np.ndarray, params: DepthCompletion | None = None) -> np.ndarray:
    """Fill a sparse depth map.

    Args:
        sparse: (H, W) depth map, metres, 0 = not measured.
        params: Kernel sizes and switches; by default those for a full image, see :func:`completion_for`.

    Returns:
        (H, W) float32 depth map. Pixels above the highest return of their column (sky, tree tops) and the inside of
        very large holes stay 0. An empty map stays empty.

    Raises:
        ShapeError: If ``sparse`` has not two axes.

    Example:
        >>> sparse = np.zeros((20, 20), np.float32)
        >>> sparse[::4] = 10.0
        >>> complete_depth(sparse).min().round(3)
        10.0
    """
    if sparse.ndim != 2:
        raise ShapeError(f'a depth map must be (H, W), got {sparse.shape}')
    params = params or DepthCompletion()
    sparse = np.ascontiguousarray(sparse, dtype=np.float32)
    if not (sparse > 0).any():
        return np.zeros_like(sparse)
    offset = float(sparse.max()) + EMPTY_MARGIN
    inverted = _spread(sparse, offset, params)
    inverted = cv2.morphologyEx(inverted, cv2.MORPH_CLOSE, _square(params.close_kernel))
    inverted = _without_outliers(inverted, params)
    inverted = _fill_holes(inverted, params)
    if params.extend_to_top:
        inverted = _extend_to_top(inverted)
        inverted = _fill_holes(inverted, params)
    inverted = _without_outliers(inverted, params)
    if params.bilateral_sigma is not None:
        inverted = _smooth(inverted, params.bilateral_sigma)
    return np.where(inverted > 0, offset - inverted, 0).astype(np.float32)


def _spread(sparse: np.ndarray, offset: float, params: DepthCompletion) -> np.ndarray:
    """Return inverted depths (0 = empty), every range grown by its own diamond, near ranges over far ones."""
    near, far = params.range_limits
    ranges = ((0.0, near), (near, far), (far, np.inf))
    spread = np.zeros_like(sparse)
    for (low, high), kernel in reversed(list(zip(ranges, params.range_kernels, strict=True))):
        selected = (sparse > low) & (sparse <= high)
        grown = cv2.dilate(np.where(selected, offset - sparse, 0).astype(np.float32), _diamond(kernel))
        spread = np.where(grown > 0, grown, spread)
    return spread


def _fill_holes(inverted: np.ndarray, params: DepthCompletion) -> np.ndarray:
    """Fill empty pixels from their rim, below the highest depth of their column only."""
    below_top = np.logical_or.accumulate(inverted > 0, axis=0)
    kernel = _square(params.fill_kernel)
    for _ in range(params.fill_steps):
        holes = (inverted == 0) & below_top
        if not holes.any():
            break
        inverted = np.where(holes, cv2.dilate(inverted, kernel), inverted)
    return inverted


def _extend_to_top(inverted: np.ndarray) -> np.ndarray:
    """Copy the highest depth of every column up to the border."""
    filled = inverted > 0
    top = filled.argmax(axis=0)
    value = inverted[top, np.arange(inverted.shape[1])]
    above = np.arange(inverted.shape[0])[:, None] < top[None, :]
    return np.where(above, value[None, :], inverted)


def _without_outliers(inverted: np.ndarray, params: DepthCompletion) -> np.ndarray:
    """Median blur of the filled pixels; pixels whose median is empty keep their value."""
    if params.median_kernel == 1:
        return inverted
    blurred = cv2.medianBlur(inverted, params.median_kernel)
    return np.where((inverted > 0) & (blurred > 0), blurred, inverted)


def _smooth(inverted: np.ndarray, sigma: tuple[float, float]) -> np.ndarray:
    """Bilateral blur; empty pixels are far off in value and thus weigh nothing."""
    sigma_depth, sigma_image = sigma
    blurred = cv2.bilateralFilter(inverted, 5, sigma_depth, sigma_image)
    return np.where(inverted > 0, blurred, 0)


def _square(size: int) -> np.ndarray:
    return np.ones((size, size), np.uint8)


def _diamond(size: int) -> np.ndarray:
    distance = np.abs(np.arange(size) - size // 2)
    return (distance[:, None] + distance[None, :] <= size // 2).astype(np.uint8)
