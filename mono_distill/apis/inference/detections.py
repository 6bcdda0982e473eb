"""What a detector found in one image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mono_distill.evaluation.kitti_annos import KittiFrame, prediction_annos
from mono_distill.evaluation.kitti_eval import KittiAnnos

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """N objects of one image, in the order of the detector (MonoDLE: by the height of the heatmap's peak).

    The camera frame is KITTI's: x right, y down, z forward, metres; pixels are those of the whole picture.

    Attributes:
        name: Name of the image, without suffix.
        path: Its file, None if it was an array.
        image_size: Width and height, pixels.
        cam2img: (4, 4) camera matrix.
        bboxes_3d: (N, 7) x, y, z of the middle of the *bottom* face, length, height, width (metres) and rotation about
            the y axis (radians, 0 if the object heads to +x): the order of mmdet3d's ``CameraInstance3DBoxes``. A KITTI
            label file has height, width, length, x, y, z, rotation; :meth:`kitti_annos` and the written text have that.
        scores: (N,). MonoDLE's is heat times depth confidence, which can exceed 1.
        labels: (N,) positions in ``classes``.
        class_names: N names.
        bboxes_2d: (N, 4) left, top, right, bottom.
        alpha: (N,) observation angle, radians.
        classes: All classes of the detector.
    """

    name: str
    path: Path | None
    image_size: tuple[int, int]
    cam2img: FloatArray
    bboxes_3d: FloatArray
    scores: FloatArray
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    bboxes_2d: FloatArray
    alpha: FloatArray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, score_thr: float) -> Detections:
        """Return those with a score of at least ``score_thr``."""
        kept = self.scores >= score_thr
        names = tuple(name for name, keep in zip(self.class_names, kept, strict=True) if keep)
        arrays = {key: getattr(self, key)[kept] for key in ('bboxes_3d', 'scores', 'labels', 'bboxes_2d', 'alpha')}
        return Detections(
            self.name, self.path, self.image_size, self.cam2img, class_names=names, classes=self.classes, **arrays
        )

    def kitti_annos(self) -> KittiAnnos:
        """Return the objects as :mod:`mono_distill.evaluation` takes them."""
        return {
            'name': np.array(self.class_names, dtype=str),
            'truncated': np.zeros(len(self)),
            'occluded': np.zeros(len(self), dtype=np.int64),
            'alpha': self.alpha,
            'bbox': self.bboxes_2d,
            'location': self.bboxes_3d[:, :3],
            'dimensions': self.bboxes_3d[:, 3:6],
            'rotation_y': self.bboxes_3d[:, 6],
            'score': self.scores,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, for JSON."""
        objects = [
            {
                'class': name,
                'score': score,
                'bbox_2d': box_2d,
                'alpha': alpha,
                'location': box[:3],
                'dimensions_lhw': box[3:6],
                'rotation_y': box[6],
            }
            for name, score, box_2d, alpha, box in zip(
                self.class_names,
                self.scores.tolist(),
                self.bboxes_2d.tolist(),
                self.alpha.tolist(),
                self.bboxes_3d.tolist(),
                strict=True,
            )
        ]
        return {
            'name': self.name,
            'file': None if self.path is None else str(self.path),
            'width': self.image_size[0],
            'height': self.image_size[1],
            'cam2img': self.cam2img[:3].tolist(),
            'objects': objects,
        }


def detections_of(
    prediction: Mapping[str, Any],
    classes: Sequence[str],
    *,
    name: str,
    path: Path | None,
    image_size: tuple[int, int],
    cam2img: FloatArray,
) -> Detections:
    """Turn the ``pred_instances_3d`` of one image into arrays, by the rules of the evaluation.

    Detectors that predict no 2D box get the projection of the 3D box, clipped to the image.

    Raises:
        NonFiniteError: The prediction holds NaN or infinity.
    """
    frame = KittiFrame(name, {}, cam2img, np.eye(4), image_size)
    annos = prediction_annos(prediction, frame, classes)
    names = tuple(str(one) for one in annos['name'])
    return Detections(
        name,
        path,
        image_size,
        cam2img,
        bboxes_3d=np.column_stack([annos['location'], annos['dimensions'], annos['rotation_y']]),
        scores=annos['score'],
        labels=np.array([list(classes).index(one) for one in names], dtype=np.int64),
        class_names=names,
        bboxes_2d=annos['bbox'],
        alpha=annos['alpha'],
        classes=tuple(classes),
    )
