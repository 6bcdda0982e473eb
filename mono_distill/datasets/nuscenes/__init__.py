"""nuScenes: class names, and the builder and reader of its infos."""

from mono_distill.datasets.nuscenes.classes import (
    CAMERAS,
    CENTERPOINT_TASKS,
    DEFAULT_ATTRIBUTES,
    DETECTION_RANGES,
    NUSCENES_CLASSES,
)

__all__ = ['CAMERAS', 'CENTERPOINT_TASKS', 'DEFAULT_ATTRIBUTES', 'DETECTION_RANGES', 'NUSCENES_CLASSES']
