"""Resample a picture or a depth map by an isotropic, axis-aligned affine map."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.datasets.transforms.geometry import FloatArray


def warp_image(image: NDArray, trans_mat: FloatArray, size: tuple[int, int]) -> NDArray:
    """Resample a picture bilinearly, black where the source has no pixel.

    Like Pillow's ``Image.transform(AFFINE, BILINEAR)``, which the official code uses: pixel middles lie at half-integer
    positions, and a border pixel is black or not, never blended with black. (``cv2.warpAffine`` alone places middles at
    integers, which is up to 0.2 px away at the scales used here.)

    Args:
        image: (H, W) or (H, W, C), uint8 or float32.
        trans_mat: 3x3 map from source to target pixels: one positive factor and a shift.
        size: Width and height of the result.
    """
    result = _bilinear(image, trans_mat, size)
    _clear_outside(result, trans_mat, (image.shape[1], image.shape[0]))
    return result


def warp_depth_map(depth: NDArray[np.float32], trans_mat: FloatArray, size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample a depth map without inventing depth where measurements are missing.

    A target pixel is interpolated bilinearly only where all four source pixels around it hold a measurement. Elsewhere
    it takes the source pixel it falls into, which may itself be missing; outside the source it is missing. Plain
    bilinear resampling (the official code) blends the zeros of missing pixels into their neighbours: a car at 20 m
    beside a gap would get a rim of points at 5, 10 and 15 m.

    Args:
        depth: (H, W) metres, 0 where missing.
        trans_mat: 3x3 map from source to target pixels: one positive factor and a shift.
        size: Width and height of the result.

    Returns:
        (size[1], size[0]) metres, not rescaled, 0 where missing.
    """
    missing = depth <= 0
    if missing.any():
        # NaN marks every pixel that a missing one would take part in, even with weight 0.
        result = _bilinear(np.where(missing, np.float32(np.nan), depth), trans_mat, size)
        np.copyto(result, _nearest(depth, trans_mat, size), where=np.isnan(result))
    else:
        result = _bilinear(depth, trans_mat, size)
    _clear_outside(result, trans_mat, (depth.shape[1], depth.shape[0]))
    return result


def _bilinear(array: NDArray, trans_mat: FloatArray, size: tuple[int, int]) -> NDArray:
    # OpenCV counts from the middle of the first pixel, so the map is conjugated with a shift by half a pixel.
    matrix = np.array(trans_mat[:2], dtype=np.float64)
    matrix[:, 2] += 0.5 * (matrix[0, 0] - 1)
    return cv2.warpAffine(array, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _nearest(array: NDArray, trans_mat: FloatArray, size: tuple[int, int]) -> NDArray:
    columns, rows = (
        np.clip(((np.arange(size[axis]) + 0.5 - trans_mat[axis, 2]) / trans_mat[0, 0]).astype(np.int64), 0, limit - 1)
        for axis, limit in enumerate((array.shape[1], array.shape[0]))
    )
    return array[rows][:, columns]


def _clear_outside(array: NDArray, trans_mat: FloatArray, source_size: tuple[int, int]) -> None:
    """Zero, in place, the target pixels whose middle lies outside the source."""
    factor = trans_mat[0, 0]
    left, top = (int(np.ceil(trans_mat[axis, 2] - 0.5)) for axis in (0, 1))
    right, bottom = (int(np.ceil(factor * source_size[axis] + trans_mat[axis, 2] - 0.5)) for axis in (0, 1))
    array[: max(top, 0)] = 0
    array[max(bottom, 0) :] = 0
    array[:, : max(left, 0)] = 0
    array[:, max(right, 0) :] = 0
