"""Boxes of the LiDAR frame as entries of a nuScenes result file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mono_distill.utils.errors import ConfigError, DataError, NonFiniteError

# The benchmark's limit for a sample.
MAX_BOXES = 500
# Slower objects count as standing, metres per second.
MIN_SPEED = 0.2
# mmdet3d's numbering of attr_labels.
ATTRIBUTES = (
    'cycle.with_rider',
    'cycle.without_rider',
    'pedestrian.moving',
    'pedestrian.standing',
    'pedestrian.sitting_lying_down',
    'vehicle.moving',
    'vehicle.parked',
    'vehicle.stopped',
    '',
)
_VEHICLES = ('car', 'truck', 'construction_vehicle', 'bus', 'trailer')
_CYCLES = ('motorcycle', 'bicycle')


def attribute_of_speed(name: str, speed: float) -> str:
    """Return the attribute that nuScenes wants of a box whose velocity is all that is known, by mmdet3d's rule.

    Args:
        name: Class.
        speed: Metres per second.

    Example:
        >>> attribute_of_speed('car', 3.0), attribute_of_speed('pedestrian', 0.1), attribute_of_speed('barrier', 0.0)
        ('vehicle.moving', 'pedestrian.standing', '')
    """
    if speed > MIN_SPEED:
        return 'vehicle.moving' if name in _VEHICLES else 'cycle.with_rider' if name in _CYCLES else _default(name)
    return {'pedestrian': 'pedestrian.standing', 'bus': 'vehicle.stopped'}.get(name, _default(name))


def attribute_of_label(name: str, label: int, speed: float) -> str:
    """Return a predicted attribute, or that of the speed where the class cannot have it.

    Args:
        name: Class.
        label: Index into :data:`ATTRIBUTES`.
        speed: Metres per second.
    """
    kind = 'vehicle' if name in _VEHICLES else 'cycle' if name in _CYCLES else name
    attribute = ATTRIBUTES[label]
    return attribute if attribute and attribute.split('.')[0] == kind else attribute_of_speed(name, speed)


def result_entries(sample: Mapping[str, Any], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Turn the prediction of a sample into entries of a result file, at most 500, best first.

    Boxes beyond the distance up to which their class is evaluated are left out, so that they take no one's place.

    Args:
        sample: ``token``; ``lidar2ego`` and ``ego2global``, both (4, 4), at the time of the LiDAR; and
            ``pred_instances_3d`` with ``bboxes_3d`` (LiDAR boxes), ``scores_3d``, ``labels_3d`` and maybe
            ``attr_labels`` (indices into :data:`ATTRIBUTES`; otherwise attributes follow from the speed).
        classes: Names of the labels.

    Raises:
        ConfigError: A class is none of nuScenes' ten.
        NonFiniteError: A prediction holds NaN or infinity.
    """
    # Data sets import mmdet3d; who imports a metric need not.
    from mono_distill.datasets.nuscenes.classes import DETECTION_RANGES

    unknown = [name for name in classes if name not in DETECTION_RANGES]
    if unknown:
        raise ConfigError(f'nuScenes evaluates {", ".join(DETECTION_RANGES)}; not {", ".join(unknown)}.')
    pred = sample['pred_instances_3d']
    boxes = pred['bboxes_3d'].tensor.detach().cpu().double().numpy()
    scores = pred['scores_3d'].detach().cpu().double().numpy()
    labels = pred['labels_3d'].detach().cpu().numpy()
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise NonFiniteError(f'the prediction for sample {sample["token"]} holds NaN or infinity.')
    lidar2ego, ego2global = rigid(sample['lidar2ego'], 'lidar2ego'), rigid(sample['ego2global'], 'ego2global')
    lidar2global = ego2global @ lidar2ego
    rotation = lidar2global[:3, :3]
    centres = boxes[:, :3] + boxes[:, 5:6] * [0, 0, 0.5]
    centres = centres @ rotation.T + lidar2global[:3, 3]
    velocity = np.zeros((len(boxes), 3))
    velocity[:, :2] = boxes[:, 7:9] if boxes.shape[1] >= 9 else 0
    velocity = (velocity @ rotation.T)[:, :2]
    orientations = turned_quaternions(rotation, boxes[:, 6])
    distances = np.linalg.norm((centres - ego2global[:3, 3])[:, :2], axis=1)
    ranges = np.array([DETECTION_RANGES[name] for name in classes])
    attributes = pred['attr_labels'].tolist() if 'attr_labels' in pred else None
    entries = []
    for i in np.argsort(-scores, kind='stable'):
        if distances[i] >= ranges[labels[i]]:
            continue
        name, speed = classes[labels[i]], float(np.hypot(*velocity[i]))
        entries.append(
            {
                'sample_token': sample['token'],
                'translation': centres[i].tolist(),
                # nuScenes' order: width, length, height.
                'size': boxes[i, [4, 3, 5]].tolist(),
                'rotation': orientations[i].tolist(),
                'velocity': velocity[i].tolist(),
                'detection_name': name,
                'detection_score': float(scores[i]),
                'attribute_name': attribute_of_speed(name, speed)
                if attributes is None
                else attribute_of_label(name, attributes[i], speed),
            }
        )
    return entries[:MAX_BOXES]


def turned_quaternions(rotation: NDArray[np.float64], yaws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the quaternions (w, x, y, z) of turning by a yaw about z first, then by a rotation.

    Args:
        rotation: (3, 3).
        yaws: (N,) radians.

    Returns:
        (N, 4).
    """
    from pyquaternion import Quaternion

    w, x, y, z = Quaternion(matrix=rotation, rtol=1e-5, atol=1e-6).elements
    cos, sin = np.cos(yaws / 2), np.sin(yaws / 2)
    return np.stack([w * cos - z * sin, x * cos + y * sin, y * cos - x * sin, w * sin + z * cos], axis=1)


def rigid(matrix: ArrayLike, name: str) -> NDArray[np.float64]:
    """Return a rigid motion in float64, its rotation freed of what float32 has rounded.

    Args:
        matrix: (4, 4).
        name: Of the matrix, for the message.

    Raises:
        DataError: The matrix turns and moves, but also scales, mirrors or shears.
    """
    motion = np.array(matrix, dtype=np.float64)
    if motion.shape != (4, 4):
        raise DataError(f'{name} must be (4, 4), but is {motion.shape}.')
    left, _, right = np.linalg.svd(motion[:3, :3])
    rotation = left @ right
    if np.linalg.det(rotation) < 0 or np.abs(rotation - motion[:3, :3]).max() > 1e-3:
        raise DataError(f'{name} is no rigid motion: its upper left block is {motion[:3, :3].tolist()}.')
    motion[:3, :3] = rotation
    return motion


def _default(name: str) -> str:
    from mono_distill.datasets.nuscenes.classes import DEFAULT_ATTRIBUTES

    return DEFAULT_ATTRIBUTES[name]
