"""The same validation frames through every detector's eyes: boxes on the image and from above."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.frames import countable, split_frames, splits
from mono_distill.apis.demo.models import MODELS
from mono_distill.datasets.kitti.depth_maps import read_depth_png
from mono_distill.datasets.kitti.labels import read_label
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.evaluation.kitti_annos import KittiFrame
from mono_distill.utils.errors import DataError
from mono_distill.visualization import (
    GROUND_TRUTH_COLOR,
    PREDICTION_COLOR,
    BevView,
    BoxSet,
    colorize_depth,
    compose,
    draw_bev,
    points_in_camera,
    write_picture,
)
from mono_distill.visualization.boxes import draw_boxes_3d
from mono_distill.visualization.picture import Picture

SCORE_THRESHOLD = 0.2
_MIN_WIDTH = 900
_VIEW = BevView(x_range=(-22.0, 22.0), z_range=(0.0, 56.0), scale=8.0)
_TRUTH_TITLE = 'Ground truth'
DEPTH_TITLE = 'LiDAR depth map'
# Cars farther away than this are a few pixels high in small images.
_NEAR = 40.0


@dataclass(frozen=True)
class Boxes:
    """Cars of a frame.

    Attributes:
        boxes: (N, 7) x, y of the bottom, z, length, height, width, rotation; camera frame, metres.
        scores: (N,), or None for ground truth.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Panel:
    """What one detector (or the annotation) says about a frame.

    Attributes:
        title: Whose view it is.
        note: What that is, in some words.
        camera: Picture of the camera with boxes.
        bev: Picture from above.
        text: What can be seen, for those who cannot.
    """

    title: str
    note: str
    camera: Picture
    bev: Picture
    text: str


@dataclass(frozen=True)
class FramePictures:
    """The panels of one frame.

    Attributes:
        sample_id: Its number.
        panels: Ground truth first.
        depth: The completed LiDAR depth map in colours.
    """

    sample_id: str
    panels: list[Panel]
    depth: Picture


def draw_frames(folder: DemoFolder, count: int, image_scale: float) -> list[FramePictures]:
    """Draw some frames of the evaluated split, and write one composed PNG each to ``folder.pictures``.

    Raises:
        DataError: A file of a frame or the predictions of a detector cannot be read.
    """
    frames = split_frames(folder.kitti, splits(folder.kitti)[1])
    drawn = [draw_frame(folder, frames[name]) for name in choose_frames(frames, count, image_scale)]
    for frame in drawn:
        write_picture(folder.pictures / f'frame_{frame.sample_id}.png', composed(frame))
    return drawn


def choose_frames(frames: dict[str, KittiFrame], count: int, image_scale: float) -> list[str]:
    """Return frames with many visible cars nearby, spread over the split so that they show different places.

    Args:
        frames: Frames by name, in the order of recording.
        count: How many; fewer where there are fewer frames.
        image_scale: Size of the images relative to KITTI's.
    """
    names = list(frames)
    parts = np.array_split(np.arange(len(names)), min(count, len(names)))
    # The first of equals: max() keeps it.
    return [
        max((names[index] for index in part), key=lambda name: _near_cars(frames[name], image_scale)) for part in parts
    ]


def draw_frame(folder: DemoFolder, frame: KittiFrame) -> FramePictures:
    """Draw one frame: the annotation, then every shown detector beside it."""
    kitti = KittiFolder(folder.kitti)
    image = cv2.imread(str(kitti.path('training', 'image_2', frame.sample_id)))
    if image is None:
        raise DataError(f'cannot read the image of frame {frame.sample_id} in {folder.kitti}')
    canvas = _Canvas(image, frame, _scan(kitti, frame))
    truth = Boxes(_truth(frame))
    panels = [canvas.panel(_TRUTH_TITLE, 'what was annotated', truth)]
    for model in MODELS:
        found = read_predictions(folder.predictions(model.name) / f'{frame.sample_id}.txt')
        panels.append(canvas.panel(model.title, model.note, truth, found))
    return FramePictures(frame.sample_id, panels, canvas.depth(kitti.path('training', 'depth_dense', frame.sample_id)))


def read_predictions(path: Path, threshold: float = SCORE_THRESHOLD) -> Boxes:
    """Return the cars of a prediction file that are scored at least ``threshold``."""
    labels = read_label(path)
    keep = (labels.name == 'Car') & (labels.score >= threshold)
    return Boxes(
        _box_rows(labels.location, labels.dimensions[:, [2, 0, 1]], labels.rotation_y)[keep], labels.score[keep]
    )


def composed(frame: FramePictures) -> Picture:
    """Join the panels of a frame: pictures of the camera in two columns, views from above in a row below."""
    cameras = [(panel.title, panel.camera) for panel in frame.panels]
    cameras.insert(1, (DEPTH_TITLE, frame.depth))
    rows = [compose(cameras[start : start + 2]) for start in range(0, len(cameras), 2)]
    views: list[tuple[str, Picture]] = [(panel.title, panel.bev) for panel in frame.panels]
    return compose([*(('', row) for row in rows), ('', compose(views))], direction='vertical')


class _Canvas:
    """The camera picture, magnified, and the scan of one frame."""

    def __init__(self, image: Picture, frame: KittiFrame, points: NDArray[np.float64] | None) -> None:
        factor = max(1, round(_MIN_WIDTH / image.shape[1]))
        self.image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        self.cam2img = frame.cam2img.copy()
        self.cam2img[:2] *= factor
        self.points = points

    def panel(self, title: str, note: str, truth: Boxes, found: Boxes | None = None) -> Panel:
        """Draw ground truth (green), and what was found (orange, with scores) over it."""
        width = 2 if found is None else 1
        camera = draw_boxes_3d(self.image, truth.boxes, self.cam2img, color=GROUND_TRUTH_COLOR, thickness=width)
        box_sets = [BoxSet(truth.boxes, GROUND_TRUTH_COLOR, 'annotated')]
        text = f'{title}: {len(truth.boxes)} annotated cars'
        if found is not None and found.scores is not None:
            texts = [f'{score:.2f}' for score in found.scores]
            camera = draw_boxes_3d(camera, found.boxes, self.cam2img, color=PREDICTION_COLOR, texts=texts, thickness=2)
            box_sets.append(BoxSet(found.boxes, PREDICTION_COLOR, 'found'))
            text += f', {len(found.boxes)} cars found'
        bev = draw_bev(self.points, box_sets, view=_VIEW, cam2img=self.cam2img, image_width=self.image.shape[1])
        return Panel(title, note, camera, bev, text)

    def depth(self, path: Path) -> Picture:
        """Return a depth map in colours, as large as the camera picture."""
        picture = colorize_depth(read_depth_png(path))
        height, width = self.image.shape[:2]
        return cv2.resize(picture, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def _truth(frame: KittiFrame) -> NDArray[np.float64]:
    annos = frame.annos
    # Occlusion 3 is "unknown": such cars cannot be seen.
    shown = (annos['name'] == 'Car') & (annos['occluded'] <= 2)
    return _box_rows(annos['location'], annos['dimensions'], annos['rotation_y'])[shown]


def _near_cars(frame: KittiFrame, image_scale: float) -> int:
    return int((countable(frame, image_scale) & (frame.annos['location'][:, 2] < _NEAR)).sum())


def _box_rows(location: NDArray, dimensions: NDArray, rotation_y: NDArray) -> NDArray[np.float64]:
    return np.concatenate([location, dimensions, rotation_y[:, None]], axis=1)


def _scan(kitti: KittiFolder, frame: KittiFrame) -> NDArray[np.float64] | None:
    path = kitti.path('training', 'velodyne', frame.sample_id)
    if not path.is_file():
        return None
    return points_in_camera(read_velodyne(path)[:, :3], dict(lidar2cam=frame.lidar2cam, flip=False))


def legend() -> str:
    """Return what the colours and the grid mean."""
    return (
        'Green boxes are the annotated cars, orange ones the cars a detector found with a score of at least '
        f'{SCORE_THRESHOLD:g}. From above, the camera stands at the bottom in the middle and looks up; grid lines are '
        '10 m apart.'
    )
