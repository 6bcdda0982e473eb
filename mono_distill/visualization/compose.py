"""Put captioned pictures side by side or below each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mono_distill.utils.errors import ConfigError
from mono_distill.visualization.picture import Color, Picture, put_text, to_picture

_BACKGROUND: Color = (40, 40, 40)
_CAPTION_HEIGHT = 18


def compose(panels: Sequence[tuple[str, Any]], *, direction: str = 'horizontal', gap: int = 6) -> Picture:
    """Join pictures without resizing them; smaller ones are padded at the right or the bottom.

    Args:
        panels: Captions and pictures; a picture with an empty caption gets no caption line.
        direction: ``'horizontal'`` (side by side) or ``'vertical'`` (below each other).
        gap: Pixels between pictures.

    Returns:
        One picture.

    Raises:
        ConfigError: There is no picture, or the direction is unknown.
        ShapeError: A picture has the wrong shape.

    Example:
        >>> panel = np.zeros((10, 20, 3), np.uint8)
        >>> compose([('a', panel), ('b', panel)], gap=2).shape
        (28, 42, 3)
    """
    if not panels:
        raise ConfigError('compose needs at least one picture')
    if direction not in ('horizontal', 'vertical'):
        raise ConfigError(f"compose: direction must be 'horizontal' or 'vertical', got {direction!r}")
    pictures = [_captioned(caption, to_picture(picture)) for caption, picture in panels]
    heights, widths = zip(*(picture.shape[:2] for picture in pictures), strict=True)
    spaces = gap * (len(pictures) - 1)
    horizontal = direction == 'horizontal'
    shape = (max(heights), sum(widths) + spaces) if horizontal else (sum(heights) + spaces, max(widths))
    result = np.full((*shape, 3), _BACKGROUND, np.uint8)
    offset = 0
    for picture in pictures:
        height, width = picture.shape[:2]
        top, left = (0, offset) if horizontal else (offset, 0)
        result[top : top + height, left : left + width] = picture
        offset += (width if horizontal else height) + gap
    return result


def _captioned(caption: str, picture: Picture) -> Picture:
    if not caption:
        return picture
    line = np.full((_CAPTION_HEIGHT, picture.shape[1], 3), _BACKGROUND, np.uint8)
    put_text(line, caption, (4, _CAPTION_HEIGHT - 5))
    return np.concatenate([line, picture])
