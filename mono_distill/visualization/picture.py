"""The picture type all drawing functions share: (H, W, 3) uint8, blue-green-red."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError, ShapeError

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

GROUND_TRUTH_COLOR: Color = (80, 220, 60)
PREDICTION_COLOR: Color = (40, 140, 255)
TEXT_COLOR: Color = (235, 235, 235)
FONT = cv2.FONT_HERSHEY_SIMPLEX


def to_picture(image: Any) -> Picture:
    """Return a fresh (H, W, 3) uint8 copy of an image, values clipped to [0, 255].

    Args:
        image: (H, W, 3) array or (3, H, W) tensor, BGR in [0, 255], any number type.

    Raises:
        ShapeError: It has another shape.
    """
    array = np.asarray(image.detach().cpu().permute(1, 2, 0) if hasattr(image, 'detach') else image)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ShapeError(f'a picture must be (H, W, 3), or a tensor (3, H, W); got {tuple(image.shape)}')
    return np.ascontiguousarray(np.clip(array, 0, 255).astype(np.uint8)).copy()


def write_picture(path: str | os.PathLike[str], picture: Picture) -> None:
    """Write a picture; the suffix of ``path`` decides the format.

    Raises:
        DataError: OpenCV cannot write this format.
    """
    with atomic_path(path) as temporary:
        try:
            written = cv2.imwrite(str(temporary), picture)
        except cv2.error as error:
            raise DataError(f'cannot write picture {path}: use a name that ends in .png or .jpg') from error
        if not written:
            raise DataError(f'OpenCV could not write picture {path}')


def put_text(picture: Picture, text: str, corner: tuple[float, float], color: Color = TEXT_COLOR) -> None:
    """Write small text into ``picture``, its lower left corner at ``corner`` (pixels), legible on any background."""
    origin = (round(corner[0]), round(corner[1]))
    cv2.putText(picture, text, origin, FONT, 0.4, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(picture, text, origin, FONT, 0.4, color, 1, cv2.LINE_AA)
