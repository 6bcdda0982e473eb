"""Files of detections: KITTI text, JSON, pictures. Each is whole or absent."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mono_distill.apis.inference.detections import Detections
from mono_distill.apis.inference.images import Picture
from mono_distill.evaluation.kitti_submission import result_text
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError
from mono_distill.visualization import PREDICTION_COLOR, BevView, BoxSet, draw_bev, draw_boxes_3d, write_picture

TEXT_FOLDER, OVERLAY_FOLDER, BEV_FOLDER, JSON_FILE = 'kitti', 'overlay', 'bev', 'detections.json'
# Lines of one pixel are hard to see on pictures wider than KITTI's, and texts cover those that are much smaller.
_WIDTH_PER_LINE = 1250
_MIN_WIDTH = 960


class DetectionWriter:
    """Writes ``OUT/kitti/NAME.txt``, ``OUT/overlay/NAME.png``, ``OUT/bev/NAME.png`` and ``OUT/detections.json``.

    Args:
        out: The folder; made if it does not exist. Files of the same names are replaced.
        pictures: Whether to draw.
        view: What the picture from above shows.

    Raises:
        DataError: The folder cannot be made, or a file cannot be written.
    """

    def __init__(self, out: str | os.PathLike[str], *, pictures: bool = True, view: BevView | None = None) -> None:
        self.out = Path(out)
        self.pictures = pictures
        self.view = view
        self.counts: Counter[str] = Counter()
        self._images: list[dict[str, Any]] = []
        try:
            (self.out / TEXT_FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f'cannot write to {self.out}: {error.strerror}') from error

    def write(self, found: Detections, picture: Picture) -> None:
        """Write the text and the pictures of one image, and remember it for the JSON file."""
        try:
            with atomic_path(self.out / TEXT_FOLDER / f'{found.name}.txt') as temporary:
                temporary.write_text(result_text(found.kitti_annos()))
            if self.pictures:
                write_picture(self.out / OVERLAY_FOLDER / f'{found.name}.png', draw_overlay(found, picture))
                write_picture(self.out / BEV_FOLDER / f'{found.name}.png', draw_from_above(found, self.view))
        except OSError as error:
            raise DataError(f'cannot write the detections of {found.name} to {self.out}: {error.strerror}') from error
        self._images.append(found.to_dict())
        self.counts.update(found.class_names)

    def finish(self, header: Mapping[str, Any] | None = None) -> Path:
        """Write the JSON file.

        Args:
            header: Entries put before ``images``, such as the names of config and checkpoint.
        """
        path = self.out / JSON_FILE
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(_json_text(header or {}, self._images))
        except OSError as error:
            raise DataError(f'cannot write {path}: {error.strerror}') from error
        return path

    def strangers(self) -> list[Path]:
        """Return text files of images that were not written now, left from an earlier run."""
        names = {image['name'] for image in self._images}
        return sorted(path for path in (self.out / TEXT_FOLDER).glob('*.txt') if path.stem not in names)


def _json_text(header: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON with a line for every image: to be read by eyes, ``grep`` and ``diff`` too."""
    entries = [f'{json.dumps(key)}: {json.dumps(value)}' for key, value in header.items()]
    entries.append('"images": [\n' + ',\n'.join(json.dumps(image) for image in images) + '\n]')
    return '{' + ',\n'.join(entries) + '}\n'


def draw_overlay(found: Detections, picture: Picture) -> Picture:
    """Draw the boxes on the picture, with class and score; small pictures are magnified by a whole number."""
    texts = [f'{name} {score:.2f}' for name, score in zip(found.class_names, found.scores, strict=True)]
    thickness = max(1, round(picture.shape[1] / _WIDTH_PER_LINE))
    factor = max(1, round(_MIN_WIDTH / picture.shape[1]))
    cam2img = found.cam2img.copy()
    cam2img[:2] *= factor
    canvas = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    return draw_boxes_3d(canvas, found.bboxes_3d, cam2img, color=PREDICTION_COLOR, texts=texts, thickness=thickness)


def draw_from_above(found: Detections, view: BevView | None = None) -> Picture:
    """Draw the boxes from above, with the camera's field of view."""
    boxes = BoxSet(found.bboxes_3d, PREDICTION_COLOR, f'{len(found)} detected', found.scores)
    return draw_bev(box_sets=[boxes], view=view, cam2img=found.cam2img, image_width=found.image_size[0])
