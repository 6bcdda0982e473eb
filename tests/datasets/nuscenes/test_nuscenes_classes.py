"""The names agree with the devkit and with mmdet3d."""

from __future__ import annotations

from mmdet3d.datasets import NuScenesDataset
from mmdet3d.evaluation.metrics import NuScenesMetric
from nuscenes.eval.common.config import config_factory
from nuscenes.eval.detection.utils import category_to_detection_name

from mono_distill.datasets.nuscenes import (
    CENTERPOINT_TASKS,
    DEFAULT_ATTRIBUTES,
    DETECTION_RANGES,
    NUSCENES_CLASSES,
)
from mono_distill.datasets.nuscenes.classes import CLASS_OF_CATEGORY, task_offsets


def test_the_classes_are_those_of_the_benchmark_in_the_order_of_the_tasks():
    assert sorted(NUSCENES_CLASSES) == sorted(NuScenesDataset.METAINFO['classes'])
    assert NuScenesDataset.METAINFO['classes'] != NUSCENES_CLASSES
    assert [len(task) for task in CENTERPOINT_TASKS] == [1, 2, 2, 1, 2, 2]
    assert [NUSCENES_CLASSES[offset] for offset in task_offsets()] == [task[0] for task in CENTERPOINT_TASKS]


def test_ranges_and_attributes_are_those_of_the_evaluation():
    assert config_factory('detection_cvpr_2019').class_range == DETECTION_RANGES
    assert NuScenesMetric.DefaultAttribute == DEFAULT_ATTRIBUTES


def test_categories_belong_to_the_class_that_the_devkit_says():
    assert all(category_to_detection_name(category) == name for category, name in CLASS_OF_CATEGORY.items())
    assert set(CLASS_OF_CATEGORY.values()) == set(NUSCENES_CLASSES)
    for other in ('animal', 'human.pedestrian.stroller', 'vehicle.emergency.police', 'movable_object.debris'):
        assert category_to_detection_name(other) is None
        assert other not in CLASS_OF_CATEGORY
