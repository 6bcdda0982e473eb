"""Prepare one frame: check its files, write its depth maps, build its info entry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mono_distill.datasets.kitti.boxes import points_in_boxes
from mono_distill.datasets.kitti.calibration import KittiCalibration, read_calib
from mono_distill.datasets.kitti.depth_completion import DepthCompletion, complete_depth, completion_for
from mono_distill.datasets.kitti.depth_maps import project_lidar_to_depth, write_depth_png
from mono_distill.datasets.kitti.images import decode_image_shape, is_whole_png, png_header
from mono_distill.datasets.kitti.infos import FrameAnnotation, build_info
from mono_distill.datasets.kitti.labels import DONT_CARE, KittiLabels, read_label
from mono_distill.datasets.kitti.layout import DEPTH_PARTS, KittiFolder
from mono_distill.datasets.kitti.projection import pixel_indices, project_cam_to_img, transform_points
from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.utils.errors import DataError


@dataclass(frozen=True)
class FrameOptions:
    """How frames are prepared.

    Attributes:
        source: KITTI root that is read.
        output: KITTI root that is written; often the same.
        lidar: Whether to read the scans and write depth maps. A training frame then needs a scan; a testing frame is
            prepared without depth maps if it has none, for distillation reads LiDAR in training only.
        overwrite: Whether to write depth maps anew that are there already.
        completion: Parameters of the dense depth maps; ``None`` for those that suit the size of the image.
    """

    source: KittiFolder
    output: KittiFolder
    lidar: bool = True
    overwrite: bool = False
    completion: DepthCompletion | None = None


@dataclass(frozen=True)
class FrameResult:
    """What became of one frame.

    Attributes:
        subset: ``training`` or ``testing``.
        sample_id: Frame number as in the file names.
        info: Its entry for the info files; ``None`` if the frame was refused.
        depth: ``written``, ``kept`` (both maps were there already) or ``none``.
        refused: The part at fault (``image_2``, ``calib``, ...) and the reason, if the frame was refused.
        warnings: Odd things that do not stop training.
    """

    subset: str
    sample_id: str
    info: dict[str, Any] | None = None
    depth: str = 'none'
    refused: tuple[str, str] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Frame:
    """The checked content of one frame's files."""

    shape: tuple[int, int]
    calib: KittiCalibration
    labels: KittiLabels | None
    points: np.ndarray | None
    stale: tuple[str, ...]


class _FrameRefusedError(DataError):
    """A file of the frame is at fault."""

    def __init__(self, part: str, reason: str) -> None:
        super().__init__(reason)
        self.part = part


def prepare_frame(subset: str, sample_id: str, options: FrameOptions) -> FrameResult:
    """Prepare one frame.

    Faulty files do not raise: they are a result. Depth maps that are there already, whole and as large as the image,
    are kept; the image, which was decoded completely before they were written, is then not decoded again.

    Args:
        subset: ``training`` or ``testing``.
        sample_id: Frame number as in the file names.
        options: Folders and switches.

    Returns:
        The frame's info entry, or why it was refused.

    Raises:
        DataError: If a depth map cannot be written; then no other frame's could be either.
    """
    try:
        frame = _read_frame(subset, sample_id, options)
    except _FrameRefusedError as fault:
        return FrameResult(subset, sample_id, refused=(fault.part, str(fault)))
    depth_map = None
    if frame.points is not None:
        depth_map = {kind: options.output.relative(subset, part, sample_id) for kind, part in DEPTH_PARTS.items()}
        _write_depth_maps(frame, {kind: options.output.root / depth_map[kind] for kind in frame.stale}, options)
    annotation = None
    if frame.labels is not None:
        annotation = FrameAnnotation(frame.labels, _count_lidar_points(frame))
    return FrameResult(
        subset,
        sample_id,
        info=build_info(sample_id, frame.shape, frame.calib, annotation=annotation, depth_map=depth_map),
        depth='none' if depth_map is None else 'written' if frame.stale else 'kept',
        warnings=() if frame.labels is None else _odd_labels(frame.labels),
    )


def _read_frame(subset: str, sample_id: str, options: FrameOptions) -> _Frame:
    """Read and check everything that is needed of a frame."""
    source = options.source
    image = source.path(subset, 'image_2', sample_id)
    with _blamed('image_2'):
        _present(image)
    with _blamed('calib'):
        calib = read_calib(_present(source.path(subset, 'calib', sample_id)))
    labels = None
    if subset == 'training':
        with _blamed('label_2'):
            labels = read_label(_present(source.path(subset, 'label_2', sample_id)))
    scan = source.path(subset, 'velodyne', sample_id)
    points = None
    if options.lidar and (subset == 'training' or scan.is_file()):
        with _blamed('velodyne'):
            points = read_velodyne(_present(scan))
    with _blamed('image_2'):
        stale = () if points is None else _stale_depth_maps(subset, sample_id, options)
        shape = png_header(image)[:2] if points is not None and not stale else decode_image_shape(image)
    if points is not None:
        with _blamed('depth'):
            _refuse_foreign(subset, sample_id, shape, options, stale)
        with _blamed('velodyne'):
            points = _points_in_view(points, calib, shape, scan)
    return _Frame(shape, calib, labels, points, stale)


@contextmanager
def _blamed(part: str) -> Iterator[None]:
    """Attribute a data error to a part of the frame."""
    try:
        yield
    except DataError as error:
        raise _FrameRefusedError(part, str(error)) from error


def _present(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f'{path} is missing')
    return path


def _stale_depth_maps(subset: str, sample_id: str, options: FrameOptions) -> tuple[str, ...]:
    """Return which depth maps must be written: those that are absent or cut short, or all."""
    paths = {kind: options.output.path(subset, part, sample_id) for kind, part in DEPTH_PARTS.items()}
    return tuple(kind for kind, path in paths.items() if options.overwrite or not is_whole_png(path))


def _refuse_foreign(
    subset: str, sample_id: str, shape: tuple[int, int], options: FrameOptions, stale: tuple[str, ...]
) -> None:
    """Refuse depth maps of another origin, such as a downloaded set that is cropped: do not overwrite, do not use."""
    for kind, part in DEPTH_PARTS.items():
        if kind in stale:
            continue
        path = options.output.path(subset, part, sample_id)
        header = png_header(path)
        if header != (*shape, 16, 0):
            raise DataError(
                f'{path} is {header[1]}x{header[0]} with {header[2]} bits, expected a 16 bit grey PNG of '
                f'{shape[1]}x{shape[0]} like the image; move it away, or replace it with --overwrite'
            )


def _points_in_view(points: np.ndarray, calib: KittiCalibration, shape: tuple[int, int], scan: Path) -> np.ndarray:
    """Return the (N, 3) points that fall into the image, in the rectified camera frame."""
    camera = transform_points(points[:, :3], calib.lidar2cam)
    pixels, _ = project_cam_to_img(camera, calib.P2)
    camera = camera[pixel_indices(pixels, shape)[0]]
    if not len(camera):
        raise DataError(f'no point of {scan} falls into the image: does it belong to this frame and calibration?')
    return camera


def _write_depth_maps(frame: _Frame, paths: dict[str, Path], options: FrameOptions) -> None:
    if not paths or frame.points is None:
        return
    # The points are in the camera frame already.
    sparse = project_lidar_to_depth(frame.points, np.eye(4), frame.calib.P2, shape=frame.shape)
    for kind, path in paths.items():
        depth = (
            sparse if kind == 'sparse' else complete_depth(sparse, options.completion or completion_for(frame.shape))
        )
        try:
            write_depth_png(path, depth)
        except OSError as error:
            raise DataError(f'cannot write {path}: {error}') from error


def _count_lidar_points(frame: _Frame) -> np.ndarray | None:
    """Count the points in every box as MMDetection3D does: of those in the image; -1 for DontCare."""
    if frame.points is None or frame.labels is None:
        return None
    counts = points_in_boxes(frame.points, frame.labels.bboxes_3d).sum(axis=1)
    return np.where(frame.labels.name == DONT_CARE, -1, counts)


def _odd_labels(labels: KittiLabels) -> tuple[str, ...]:
    """Name objects no detector can learn from; they stay in the infos as annotated."""
    flat = ~(labels.dimensions > 0).all(axis=1)
    empty = ~(labels.bbox[:, 2:] > labels.bbox[:, :2]).all(axis=1)
    return tuple(
        f'object {index} ({labels.name[index]}): {"3D" if flat[index] else "2D"} box without extent'
        for index in np.flatnonzero((flat | empty) & (labels.name != DONT_CARE))
    )
