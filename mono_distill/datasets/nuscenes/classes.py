"""Names of nuScenes' detection task: classes, the head's tasks, categories, ranges, attributes, cameras.

The order of the classes is the order of CenterPoint's tasks, in which a centre head numbers its heat maps. It differs
from ``NuScenesDataset.METAINFO`` of mmdet3d (car, truck, trailer, bus ...): a config must say which one it uses.
"""

from __future__ import annotations

from collections.abc import Iterable

CENTERPOINT_TASKS: tuple[tuple[str, ...], ...] = (
    ('car',),
    ('truck', 'construction_vehicle'),
    ('bus', 'trailer'),
    ('barrier',),
    ('motorcycle', 'bicycle'),
    ('pedestrian', 'traffic_cone'),
)
NUSCENES_CLASSES: tuple[str, ...] = tuple(name for task in CENTERPOINT_TASKS for name in task)

# In the order of the infos of mmdet3d, which every list of cameras here follows.
CAMERAS: tuple[str, ...] = (
    'CAM_FRONT',
    'CAM_FRONT_RIGHT',
    'CAM_FRONT_LEFT',
    'CAM_BACK',
    'CAM_BACK_LEFT',
    'CAM_BACK_RIGHT',
)
LIDAR = 'LIDAR_TOP'

# Distance from the car up to which the benchmark evaluates a class, metres (devkit: detection_cvpr_2019.json).
DETECTION_RANGES: dict[str, float] = {
    'car': 50.0,
    'truck': 50.0,
    'construction_vehicle': 50.0,
    'bus': 50.0,
    'trailer': 50.0,
    'barrier': 30.0,
    'motorcycle': 40.0,
    'bicycle': 40.0,
    'pedestrian': 40.0,
    'traffic_cone': 30.0,
}

# The attribute of a box that says nothing about itself, as in mmdet3d's metric; classes without attributes have ''.
DEFAULT_ATTRIBUTES: dict[str, str] = {
    'car': 'vehicle.parked',
    'truck': 'vehicle.parked',
    'construction_vehicle': 'vehicle.parked',
    'bus': 'vehicle.moving',
    'trailer': 'vehicle.parked',
    'barrier': '',
    'motorcycle': 'cycle.without_rider',
    'bicycle': 'cycle.without_rider',
    'pedestrian': 'pedestrian.moving',
    'traffic_cone': '',
}

# Categories of the annotations that the detection task evaluates (devkit: category_to_detection_name); others are none.
CLASS_OF_CATEGORY: dict[str, str] = {
    'movable_object.barrier': 'barrier',
    'vehicle.bicycle': 'bicycle',
    'vehicle.bus.bendy': 'bus',
    'vehicle.bus.rigid': 'bus',
    'vehicle.car': 'car',
    'vehicle.construction': 'construction_vehicle',
    'vehicle.motorcycle': 'motorcycle',
    'human.pedestrian.adult': 'pedestrian',
    'human.pedestrian.child': 'pedestrian',
    'human.pedestrian.construction_worker': 'pedestrian',
    'human.pedestrian.police_officer': 'pedestrian',
    'movable_object.trafficcone': 'traffic_cone',
    'vehicle.trailer': 'trailer',
    'vehicle.truck': 'truck',
}


def task_offsets(tasks: Iterable[Iterable[str]] = CENTERPOINT_TASKS) -> tuple[int, ...]:
    """Return the label of the first class of every task.

    Example:
        >>> task_offsets()
        (0, 1, 3, 5, 6, 8)
    """
    offsets, first = [], 0
    for task in tasks:
        offsets.append(first)
        first += len(list(task))
    return tuple(offsets)
