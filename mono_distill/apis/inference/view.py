"""How much of a picture a network gets to see, and whether its intrinsics can be its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import DataError

# KITTI's pictures lose up to 0.8 % of their rows.
WARN_BELOW = 0.95
REFUSE_BELOW = 0.25


@dataclass(frozen=True)
class View:
    """The part of a picture that is in the network's input.

    Attributes:
        window: left, top, right, bottom in pixels of the picture.
        seen: Share of the picture that is in the input.
        filled: Share of the input that shows the picture; the rest is black.
    """

    window: tuple[float, float, float, float]
    seen: float
    filled: float


def view_of(metainfo: Mapping[str, Any]) -> View | None:
    """Return the view of a packed sample; None if it was not resized by ``MonoRandomCropAffine``.

    mmdet3d's pipelines keep no map of the picture (SMOKE's ``trans_mat`` leads to cells of the feature map).
    """
    if 'trans_mat' not in metainfo or 'crop_scale' not in metainfo:
        return None
    (height, width), (input_height, input_width) = metainfo['ori_shape'][:2], metainfo['img_shape'][:2]
    to_picture = np.linalg.inv(np.asarray(metainfo['trans_mat'], dtype=np.float64))
    left, top = to_picture[:2, 2]
    right, bottom = to_picture[:2, :2] @ (input_width, input_height) + to_picture[:2, 2]
    window = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    area = max(window[2] - window[0], 0.0) * max(window[3] - window[1], 0.0)
    return View(window, area / (width * height), area / ((right - left) * (bottom - top)))


def check_view(metainfo: Mapping[str, Any], name: str) -> str | None:
    """Compare the aspect ratio of a picture with that of the network's input.

    The resize keeps the aspect ratio (a car that is stretched is no car the network knows), so a picture that is taller
    than the input loses rows at top and bottom, and one that is wider leaves black rows.

    Args:
        metainfo: Of the packed sample.
        name: The picture's name.

    Returns:
        A warning, if more than 5 % of the picture or of the input are lost, or None.

    Raises:
        DataError: If more than 75 % are.
    """
    view = view_of(metainfo)
    if view is None or min(view.seen, view.filled) >= WARN_BELOW:
        return None
    (height, width), (input_height, input_width) = metainfo['ori_shape'][:2], metainfo['img_shape'][:2]
    sizes = (
        f'{name} is {width}x{height} ({width / height:.2f}:1), the network looks at {input_width}x{input_height} '
        f'({input_width / input_height:.2f}:1)'
    )
    left, top, right, bottom = (round(edge) for edge in view.window)
    if view.seen < view.filled:
        what = (
            f'it sees columns {left} to {right} and rows {top} to {bottom}, {view.seen:.0%} of the picture, and finds '
            'nothing elsewhere. To choose another part, crop the picture yourself and subtract the columns and rows '
            'cut at left and top from cx and cy'
        )
    else:
        what = (
            f'the picture fills {view.filled:.0%} of it, the rest is black, and objects are smaller than in training. '
            'Crop the picture to about the aspect ratio of the input (and subtract what is cut at left and top from cx '
            'and cy)'
        )
    if min(view.seen, view.filled) < REFUSE_BELOW:
        raise DataError(f'{sizes}: {what}')
    return f'{sizes}: {what}'


def check_principal_point(cam2img: NDArray[np.float64], size: tuple[int, int], name: str) -> str | None:
    """Return a warning if the principal point lies outside the picture, as with the intrinsics of another size."""
    cx, cy = cam2img[0, 2], cam2img[1, 2]
    if 0 <= cx <= size[0] and 0 <= cy <= size[1]:
        return None
    return (
        f'{name} is {size[0]}x{size[1]}, but its principal point is ({cx:g}, {cy:g}): are these the intrinsics of '
        'pictures of this size? Scale fx, fy, cx and cy with the picture'
    )
