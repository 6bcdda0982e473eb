"""KITTI frames of an info file, and predictions, in the form that :mod:`mono_distill.evaluation.kitti_eval` scores."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.fileio import load

from mono_distill.evaluation.kitti_eval import KittiAnnos
from mono_distill.utils.errors import DataError, NonFiniteError

CAMERA = 'CAM2'
"""Name of KITTI's left colour camera in mmdet3d's info files."""


@dataclass(frozen=True)
class KittiFrame:
    """What an info file says about one frame.

    Attributes:
        sample_id: Frame name, such as ``'000123'``.
        annos: Ground truth; without rows where the info file has no annotations (as in the test split).
        cam2img: 4x4 projection P2 from camera coordinates (metres) to pixels of the original image.
        lidar2cam: 4x4 transform from LiDAR to camera coordinates.
        image_size: Width and height of the original image in pixels.
    """

    sample_id: str
    annos: KittiAnnos
    cam2img: np.ndarray
    lidar2cam: np.ndarray
    image_size: tuple[int, int]


def sample_id_of(sample: Mapping[str, Any]) -> str:
    """Return the frame name of an entry of an info file or of a data sample.

    ``sample_id`` where there is one, otherwise the name of the image file without its suffix, which is the same for
    KITTI; so info files and pipelines of mmdet3d itself work too.

    Raises:
        DataError: If there is neither.

    Example:
        >>> sample_id_of({'img_path': 'training/image_2/000123.png'})
        '000123'
    """
    if isinstance(sample.get('sample_id'), str):
        return sample['sample_id']
    path = sample['images'][CAMERA].get('img_path') if 'images' in sample else sample.get('img_path')
    if isinstance(path, str):
        return Path(path).stem
    raise DataError(
        f'a data sample names its frame neither by `sample_id` nor by `img_path` (it holds {sorted(sample)}): add '
        "'sample_id' to the meta_keys of the transform that packs the inputs."
    )


def load_frames(ann_file: str | os.PathLike[str]) -> dict[str, KittiFrame]:
    """Load an info file in mmdet3d's v2 format.

    Args:
        ann_file: A pickle such as ``kitti_infos_val.pkl``, as ``mono-distill prepare kitti`` or mmdet3d writes it.

    Returns:
        Frames by name, in the order of the file.

    Raises:
        DataError: If the file is missing, is no info file, holds no frame, lacks a field or names a frame twice.
    """
    if not Path(ann_file).is_file():
        raise DataError(f'the info file {ann_file} does not exist: write it with "mono-distill prepare kitti".')
    content = load(ann_file)
    if not isinstance(content, dict) or not {'metainfo', 'data_list'} <= content.keys():
        raise DataError(
            f'{ann_file} is no info file of mmdet3d >= 1.1 (a dict of metainfo and data_list): write it anew with '
            '"mono-distill prepare kitti".'
        )
    # The label -1 is DontCare whether or not the file lists it.
    names = {-1: 'DontCare'} | {label: name for name, label in content['metainfo']['categories'].items()}
    frames: dict[str, KittiFrame] = {}
    for entry in content['data_list']:
        try:
            frame = _frame(entry, names)
        except KeyError as error:
            raise DataError(f'an entry of {ann_file} lacks {error}; it holds {sorted(entry)}.') from error
        if frame.sample_id in frames:
            raise DataError(f'{ann_file} holds the frame {frame.sample_id} twice.')
        frames[frame.sample_id] = frame
    if not frames:
        raise DataError(f'{ann_file} holds no frame.')
    return frames


def _frame(entry: Mapping[str, Any], names: Mapping[int, str]) -> KittiFrame:
    image, instances = entry['images'][CAMERA], entry.get('instances', ())
    unknown = {one['bbox_label'] for one in instances} - names.keys()
    if unknown:
        raise DataError(f'frame {sample_id_of(entry)}: the categories of the info file lack the labels {unknown}.')
    return KittiFrame(
        sample_id=sample_id_of(entry),
        annos=_ground_truth(instances, names),
        cam2img=np.asarray(image['cam2img'], dtype=np.float64),
        lidar2cam=np.asarray(image['lidar2cam'], dtype=np.float64),
        image_size=(int(image['width']), int(image['height'])),
    )


def _ground_truth(instances: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> KittiAnnos:
    boxes_3d = _rows([one['bbox_3d'] for one in instances], 7)
    return {
        'name': np.array([names[one['bbox_label']] for one in instances], dtype=str),
        'truncated': np.array([one['truncated'] for one in instances], dtype=np.float64),
        'occluded': np.array([one['occluded'] for one in instances], dtype=np.int64),
        'alpha': np.array([one['alpha'] for one in instances], dtype=np.float64),
        'bbox': _rows([one['bbox'] for one in instances], 4),
        **_box_columns(boxes_3d),
        'score': np.zeros(len(instances)),
    }


def prediction_annos(
    prediction: Mapping[str, Any], frame: KittiFrame, class_names: Sequence[str], use_pred_2d: bool = True
) -> KittiAnnos:
    """Turn the ``pred_instances_3d`` of one frame into KITTI annotations.

    Args:
        prediction: ``bboxes_3d`` (camera boxes; LiDAR boxes are transformed), ``scores_3d`` and ``labels_3d``, and if
            the detector predicts them ``bboxes_2d`` (N, 4) in pixels of the original image and ``alpha`` (N,).
        frame: The frame's calibration and size.
        class_names: Class of every label.
        use_pred_2d: Use the predicted ``bboxes_2d`` and ``alpha`` where present, as the official evaluation of
            monocular detectors does. Otherwise, and where they are absent, do what mmdet3d's ``KittiMetric`` does:
            project the box and clip it to the image, drop boxes that miss the image, and take alpha = ry - atan2(x, z).

    Raises:
        DataError: If the fields differ in length or a label has no class.
        NonFiniteError: If the prediction holds NaN or infinity.
    """
    boxes_3d = _camera_boxes(prediction['bboxes_3d'], frame)
    columns = {
        'bboxes_3d': _array(boxes_3d.tensor)[:, :7].copy(),
        'scores_3d': _array(prediction['scores_3d']),
        'labels_3d': _array(prediction['labels_3d']),
    }
    if use_pred_2d:
        columns.update({key: _array(prediction[key]) for key in ('bboxes_2d', 'alpha') if key in prediction})
    _check_columns(columns, frame.sample_id, len(class_names))
    boxes = columns['bboxes_3d']
    boxes[:, 6] = _wrapped(boxes[:, 6])
    if 'bboxes_2d' not in columns:
        columns['bboxes_2d'], visible = _projected(boxes_3d, frame)
        columns = {key: values[visible] for key, values in columns.items()}
        boxes = columns['bboxes_3d']
    alpha = columns.get('alpha', boxes[:, 6] - np.arctan2(boxes[:, 0], boxes[:, 2]))
    count = len(boxes)
    return {
        'name': np.array([class_names[label] for label in columns['labels_3d'].astype(int)], dtype=str),
        'truncated': np.zeros(count),
        'occluded': np.zeros(count, dtype=np.int64),
        'alpha': _wrapped(alpha.reshape(count)),
        'bbox': columns['bboxes_2d'].reshape(count, 4),
        **_box_columns(boxes),
        'score': columns['scores_3d'],
    }


def full_size(annos: KittiAnnos, image_scale: float) -> KittiAnnos:
    """Return annotations of a scaled image with the 2D boxes of the image at KITTI's size.

    Example:
        >>> full_size({'bbox': np.ones((1, 4))}, 0.25)['bbox'].tolist()
        [[4.0, 4.0, 4.0, 4.0]]
    """
    return {**annos, 'bbox': annos['bbox'] / image_scale}


def _check_columns(columns: Mapping[str, np.ndarray], sample_id: str, num_classes: int) -> None:
    lengths = {key: len(values) for key, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f'frame {sample_id}: the fields of pred_instances_3d differ in length: {lengths}.')
    broken = [key for key, values in columns.items() if not np.isfinite(values).all()]
    if broken:
        raise NonFiniteError(
            f'frame {sample_id}: the prediction holds NaN or infinity in {", ".join(broken)}. The model has diverged '
            'or was loaded wrongly.'
        )
    labels = columns['labels_3d']
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DataError(
            f'frame {sample_id}: labels_3d lie in [{labels.min():.0f}, {labels.max():.0f}], but the data set has '
            f'{num_classes} classes.'
        )


def _camera_boxes(boxes: Any, frame: KittiFrame) -> Any:
    from mmdet3d.structures import Box3DMode, CameraInstance3DBoxes, LiDARInstance3DBoxes

    if isinstance(boxes, CameraInstance3DBoxes):
        return boxes
    if isinstance(boxes, LiDARInstance3DBoxes):
        return boxes.to('cpu').convert_to(Box3DMode.CAM, frame.lidar2cam.astype(np.float32))
    raise DataError(
        f'frame {frame.sample_id}: bboxes_3d must be CameraInstance3DBoxes or LiDARInstance3DBoxes, got '
        f'{type(boxes).__name__}.'
    )


def _projected(boxes: Any, frame: KittiFrame) -> tuple[np.ndarray, np.ndarray]:
    """The (N, 4) image boxes around the projected corners, clipped to the image, and which of them lie in it."""
    from mmdet3d.structures import points_cam2img

    boxes = boxes.to('cpu')
    if len(boxes) == 0:
        return np.zeros((0, 4)), np.zeros(0, dtype=bool)
    corners = points_cam2img(boxes.corners, boxes.tensor.new_tensor(frame.cam2img)).double().numpy()
    low, high = corners.min(axis=1), corners.max(axis=1)
    size = np.array(frame.image_size)
    visible = ((low < size) & (high > 0)).all(axis=1)
    return np.concatenate([np.maximum(low, 0), np.minimum(high, size)], axis=1), visible


def _box_columns(boxes_3d: np.ndarray) -> KittiAnnos:
    return {'location': boxes_3d[:, :3], 'dimensions': boxes_3d[:, 3:6], 'rotation_y': boxes_3d[:, 6]}


def _rows(rows: Sequence[Sequence[float]], width: int) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(len(rows), width)


def _array(values: Any) -> np.ndarray:
    return values.detach().cpu().double().numpy()


def _wrapped(angle: np.ndarray) -> np.ndarray:
    """The angle in [-pi, pi], as KITTI writes it; angles within stay exactly as they are."""
    return np.where(np.abs(angle) > np.pi, (angle + np.pi) % (2 * np.pi) - np.pi, angle)
