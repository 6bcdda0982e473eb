from __future__ import annotations

import numpy as np
import pytest

from mono_distill.datasets.transforms import FilterMonoObjects
from mono_distill.datasets.transforms.annotations import OBJECT_KEYS
from mono_distill.utils.errors import ConfigError


@pytest.fixture
def sample(make_sample):
    results = make_sample(count=6)
    results['gt_depths'] = np.array([1.99, 2.0, 30.0, 65.0, 65.01, 30.0], np.float32)
    results['gt_labels_3d'] = np.array([1, 1, 0, 2, 1, 1])
    results['gt_difficulty'] = np.array([0, 0, 1, 2, 0, -1])
    results['gt_alpha'] = np.arange(6, dtype=np.float32)
    results['gt_visual_depth'] = np.zeros((6, 7, 7), np.float32)
    return results


def _kept(results):
    return results['gt_alpha'].astype(int).tolist()


def test_depth_bounds_are_inclusive_and_unknown_difficulty_is_dropped(sample):
    assert _kept(FilterMonoObjects()(sample)) == [1, 2, 3]


def test_all_per_object_keys_are_filtered_alike(sample):
    boxes = sample['gt_bboxes_3d'].tensor[[1, 2, 3]]
    results = FilterMonoObjects()(sample)
    assert {key: len(results[key]) for key in OBJECT_KEYS} == dict.fromkeys(OBJECT_KEYS, 3)
    assert (results['gt_bboxes_3d'].tensor == boxes).all()


def test_only_trained_classes_stay_and_keep_their_labels(sample):
    results = FilterMonoObjects(['Car', 'Cyclist'])(sample)
    assert _kept(results) == [1, 3]
    assert results['gt_labels_3d'].tolist() == [1, 2]


def test_bounds_can_be_lifted(sample):
    assert _kept(FilterMonoObjects(max_depth=None, drop_unknown=False)(sample)) == [1, 2, 3, 4, 5]


def test_a_frame_may_end_up_without_objects(sample):
    results = FilterMonoObjects(min_depth=100, max_depth=None)(sample)
    assert results['gt_bboxes_3d'].tensor.shape == (0, 7)
    assert results['gt_bboxes'].shape == (0, 4)


def test_an_unknown_class_is_refused_with_a_hint(sample):
    with pytest.raises(ConfigError, match="no class 'car'; did you mean 'Car'"):
        FilterMonoObjects(['car'])(sample)
