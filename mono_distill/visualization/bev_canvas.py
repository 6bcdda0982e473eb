"""Points and boxes seen from above, in the camera frame, with a metric grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import ConfigError, ShapeError
from mono_distill.visualization.box_geometry import box_corners
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, Color, Picture, put_text

_BACKGROUND: Color = (24, 24, 24)
_GRID: Color = (64, 64, 64)
_VIEW: Color = (150, 110, 60)
_SHIFT = 4


@dataclass(frozen=True)
class BoxSet:
    """Boxes drawn alike.

    Attributes:
        boxes: ``CameraInstance3DBoxes`` or (N, 7), camera frame.
        color: BGR.
        name: Entry of the legend, such as ``'ground truth'``.
        scores: One score per box, written beside it; None for none.
    """

    boxes: Any
    color: Color = GROUND_TRUTH_COLOR
    name: str = ''
    scores: Any = None


@dataclass(frozen=True)
class BevView:
    """The rectangle of ground that is drawn, camera frame.

    Attributes:
        x_range: Left and right bound, metres.
        z_range: Near and far bound, metres.
        scale: Pixels per metre.
        grid: Distance of grid lines, metres.
    """

    x_range: tuple[float, float] = (-30.0, 30.0)
    z_range: tuple[float, float] = (0.0, 70.0)
    scale: float = 8.0
    grid: float = 10.0

    def __post_init__(self) -> None:
        if self.x_range[0] >= self.x_range[1] or self.z_range[0] >= self.z_range[1]:
            raise ConfigError(f'BevView: ranges must ascend, got x {self.x_range} and z {self.z_range}')
        if self.scale <= 0 or self.grid <= 0:
            raise ConfigError(f'BevView: scale and grid must be positive, got {self.scale} and {self.grid}')

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture, pixels."""
        spans = (self.z_range[1] - self.z_range[0], self.x_range[1] - self.x_range[0])
        return round(spans[0] * self.scale), round(spans[1] * self.scale)

    def pixels(self, ground: NDArray[np.floating]) -> NDArray[np.floating]:
        """Map (..., 2) ground positions (x, z) to pixels (column, row); far is up, right is right.

        Example:
            >>> BevView(scale=2.0).pixels(np.array([0.0, 70.0])).tolist()
            [60.0, 0.0]
        """
        return np.stack([ground[..., 0] - self.x_range[0], self.z_range[1] - ground[..., 1]], axis=-1) * self.scale


def draw_bev(
    points: Any = None,
    box_sets: Sequence[BoxSet] = (),
    *,
    view: BevView | None = None,
    cam2img: Any = None,
    image_width: int | None = None,
) -> Picture:
    """Draw LiDAR points and boxes from above.

    Points are brighter the higher they are (2 m below to 1 m above the camera). Boxes show their ground outline and a
    line from the middle to the front. Grid lines carry their distance in metres.

    Args:
        points: (N, 3 or more) camera frame, metres; None for none.
        box_sets: Boxes to draw, later ones on top.
        view: What is drawn; the default covers 60 m x 70 m ahead of the camera.
        cam2img: Camera matrix; with ``image_width`` the borders of the field of view are drawn.
        image_width: Width of the picture ``cam2img`` belongs to, pixels.

    Returns:
        A picture of ``view.shape``.

    Raises:
        ShapeError: Points or boxes have the wrong shape.
    """
    view = view or BevView()
    canvas = np.full((*view.shape, 3), _BACKGROUND, np.uint8)
    _draw_grid(canvas, view)
    if points is not None:
        _draw_points(canvas, points, view)
    if cam2img is not None and image_width is not None:
        _draw_field_of_view(canvas, np.asarray(cam2img, dtype=np.float64), image_width, view)
    for box_set in box_sets:
        _draw_box_set(canvas, box_set, view)
    named = [box_set for box_set in box_sets if box_set.name]
    for row, box_set in enumerate(named):
        put_text(canvas, box_set.name, (6, 16 + 16 * row), box_set.color)
    return canvas


def _draw_grid(canvas: Picture, view: BevView) -> None:
    (left, right), (near, far) = view.x_range, view.z_range
    for x in np.arange(np.ceil(left / view.grid), right / view.grid + 1e-9) * view.grid:
        _line(canvas, view.pixels(np.array([[x, near], [x, far]])), _GRID)
        put_text(canvas, f'{x:g}', (view.pixels(np.array([x, near]))[0] + 2, canvas.shape[0] - 3), (130, 130, 130))
    for z in np.arange(np.ceil(near / view.grid), far / view.grid + 1e-9) * view.grid:
        _line(canvas, view.pixels(np.array([[left, z], [right, z]])), _GRID)
        if z > near:  # the lowest line's label would cover the last of the other axis
            place = canvas.shape[1] - (36 if z >= 0 else 46), view.pixels(np.array([left, z]))[1] - 2
            put_text(canvas, f'{z:g} m', place, (130, 130, 130))


def _draw_points(canvas: Picture, points: Any, view: BevView) -> None:
    array = np.asarray(points.detach().cpu() if hasattr(points, 'detach') else points, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] < 3:
        raise ShapeError(f'points must be (N, 3 or more), got {array.shape}')
    array = array[np.isfinite(array[:, :3]).all(axis=1)]
    array = array[np.argsort(-array[:, 1])]  # the highest last: y points down
    cells = np.floor(view.pixels(array[:, [0, 2]])).astype(int)
    inside = ((cells >= 0) & (cells < view.shape[::-1])).all(axis=1)
    brightness = np.clip(70 + (2.0 - array[inside, 1]) / 3.0 * 150, 70, 220)
    canvas[cells[inside, 1], cells[inside, 0]] = np.rint(brightness).astype(np.uint8)[:, None]


def _draw_field_of_view(canvas: Picture, cam2img: NDArray[np.float64], width: int, view: BevView) -> None:
    # The ray of pixel column u is x = ((u - cu) z - cam2img[0, 3]) / fu.
    depth = np.array([0.0, view.z_range[1]])
    for column in (0, width):
        x = ((column - cam2img[0, 2]) * depth - cam2img[0, 3]) / cam2img[0, 0]
        _line(canvas, view.pixels(np.stack([x, depth], axis=1)), _VIEW)


def _draw_box_set(canvas: Picture, box_set: BoxSet, view: BevView) -> None:
    bottoms = box_corners(box_set.boxes)[:, :4][..., [0, 2]]
    for bottom in bottoms:
        _line(canvas, view.pixels(bottom), box_set.color, closed=True)
        _line(canvas, view.pixels(np.stack([bottom.mean(axis=0), bottom[:2].mean(axis=0)])), box_set.color)
    if box_set.scores is None:
        return
    scores = np.asarray(box_set.scores.detach().cpu() if hasattr(box_set.scores, 'detach') else box_set.scores)
    if scores.shape != (len(bottoms),):
        raise ShapeError(f'expected one score per box, got {scores.shape} for {len(bottoms)} boxes')
    for bottom, score in zip(bottoms, scores, strict=True):
        corner = view.pixels(bottom).max(axis=0)
        # Texts of boxes far outside would only be clipped, and their coordinates may not fit an integer.
        if (corner > 0).all() and (corner < view.shape[::-1]).all():
            put_text(canvas, f'{score:.2f}', (corner[0] + 2, corner[1]), box_set.color)


def _line(canvas: Picture, pixels: NDArray[np.floating], color: Color, *, closed: bool = False) -> None:
    points = np.rint(np.clip(pixels, -(2.0**24), 2.0**24) * 2**_SHIFT).astype(np.int32)
    cv2.polylines(canvas, [points.reshape(-1, 1, 2)], closed, color, 1, cv2.LINE_AA, _SHIFT)
