from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.structures import InstanceData
from pyquaternion import Quaternion

from mono_distill.datasets.nuscenes.classes import DETECTION_RANGES, NUSCENES_CLASSES
from mono_distill.evaluation.nuscenes_boxes import (
    ATTRIBUTES,
    attribute_of_label,
    attribute_of_speed,
    result_entries,
    rigid,
    turned_quaternions,
)
from mono_distill.utils.errors import ConfigError, DataError, NonFiniteError


def motion(axis, angle, translation):
    matrix = Quaternion(axis=axis, radians=angle).transformation_matrix
    matrix[:3, 3] = translation
    return matrix


LIDAR2EGO = motion([0.02, -0.01, 1.0], -1.55, [0.94, 0.0, 1.84])
EGO2GLOBAL = motion([0.01, 0.02, 1.0], 2.3, [411.0, 1180.0, 0.0])


def sample_of(boxes, labels, scores=None, **fields):
    count = len(boxes)
    scores = torch.linspace(0.9, 0.1, count) if scores is None else scores
    boxes = LiDARInstance3DBoxes(torch.tensor(boxes, dtype=torch.float32).reshape(count, 9), box_dim=9)
    pred = InstanceData(bboxes_3d=boxes, scores_3d=scores, labels_3d=torch.tensor(labels, dtype=torch.long), **fields)
    return dict(token='t', lidar2ego=LIDAR2EGO, ego2global=EGO2GLOBAL, pred_instances_3d=pred)


def random_boxes(count, seed=0):
    generator = np.random.default_rng(seed)
    low = [-20, -20, -2, 0.5, 0.5, 0.5, -3.1, -5, -5]
    high = [20, 20, 1, 8, 3, 3, 3.1, 5, 5]
    return generator.uniform(low, high, (count, 9)).tolist()


def test_entries_are_what_mmdet3d_writes():
    """Its functions turn one box at a time, in the devkit's own class."""
    from mmdet3d.evaluation.metrics.nuscenes_metric import lidar_nusc_box_to_global, output_to_nusc_box
    from nuscenes.eval.common.config import config_factory

    sample = sample_of(random_boxes(12), [i % 10 for i in range(12)])
    entries = result_entries(sample, NUSCENES_CLASSES)
    boxes, _ = output_to_nusc_box(sample['pred_instances_3d'])
    info = dict(lidar_points=dict(lidar2ego=LIDAR2EGO), ego2global=EGO2GLOBAL)
    expected = lidar_nusc_box_to_global(info, boxes, NUSCENES_CLASSES, config_factory('detection_cvpr_2019'))
    assert len(entries) == len(expected) == 12
    for ours, theirs in zip(entries, expected, strict=True):
        assert ours['detection_name'] == NUSCENES_CLASSES[theirs.label]
        np.testing.assert_allclose(ours['translation'], theirs.center, atol=1e-4)
        np.testing.assert_allclose(ours['size'], theirs.wlh, atol=1e-5)
        np.testing.assert_allclose(ours['velocity'], np.array(theirs.velocity[:2], dtype=float), atol=1e-5)
        turn = Quaternion(ours['rotation']).inverse * theirs.orientation
        assert abs(turn.degrees) < 1e-3


def test_a_box_worked_out():
    """The LiDAR looks along its y, the car along x; the car stands at (10, 20) and looks along the global y."""
    quarter = motion([0, 0, 1], -np.pi / 2, [1, 0, 2])
    ahead = motion([0, 0, 1], np.pi / 2, [10, 20, 0])
    sample = sample_of([[0.0, 7.0, -1.0, 4.0, 2.0, 1.0, np.pi / 2, 0.0, 3.0]], [0])
    sample.update(lidar2ego=quarter, ego2global=ahead)
    (entry,) = result_entries(sample, NUSCENES_CLASSES)
    # Eight metres ahead of the car's origin, its centre half a metre above its bottom.
    np.testing.assert_allclose(entry['translation'], [10, 28, 1.5], atol=1e-9)
    np.testing.assert_allclose(entry['velocity'], [0, 3], atol=1e-9)
    assert entry['size'] == [2.0, 4.0, 1.0]
    assert Quaternion(entry['rotation']).yaw_pitch_roll[0] == pytest.approx(np.pi / 2)
    assert entry['attribute_name'] == 'vehicle.moving'
    assert entry['sample_token'] == 't'


def test_the_best_five_hundred_are_kept_best_first():
    scores = torch.rand(700, generator=torch.Generator().manual_seed(0))
    entries = result_entries(sample_of(random_boxes(700), [0] * 700, scores), NUSCENES_CLASSES)
    kept = [entry['detection_score'] for entry in entries]
    assert kept == pytest.approx(scores.double().sort(descending=True).values[:500].tolist())


def test_boxes_beyond_the_range_of_their_class_take_no_ones_place():
    far = [[0, 35, 0, 1, 1, 1, 0, 0, 0]] * 600 + [[0, 5, 0, 1, 1, 1, 0, 0, 0]]
    entries = result_entries(sample_of(far, [9] * 600 + [0]), NUSCENES_CLASSES)
    assert [entry['detection_name'] for entry in entries] == ['car']
    assert len(result_entries(sample_of(far, [0] * 601), NUSCENES_CLASSES)) == 500


def test_ranges_are_the_devkits():
    from nuscenes.eval.common.config import config_factory

    assert config_factory('detection_cvpr_2019').class_range == DETECTION_RANGES


@pytest.mark.parametrize(
    ('name', 'moving', 'standing'),
    [
        ('car', 'vehicle.moving', 'vehicle.parked'),
        ('bus', 'vehicle.moving', 'vehicle.stopped'),
        ('trailer', 'vehicle.moving', 'vehicle.parked'),
        ('bicycle', 'cycle.with_rider', 'cycle.without_rider'),
        ('pedestrian', 'pedestrian.moving', 'pedestrian.standing'),
        ('barrier', '', ''),
        ('traffic_cone', '', ''),
    ],
)
def test_attributes_follow_from_the_speed(name, moving, standing):
    assert attribute_of_speed(name, 0.21) == moving
    assert attribute_of_speed(name, 0.2) == standing


def test_every_class_has_attributes_that_the_devkit_knows():
    from nuscenes.eval.detection.utils import detection_name_to_rel_attributes

    for name in NUSCENES_CLASSES:
        allowed = [*detection_name_to_rel_attributes(name)] or ['']
        assert {attribute_of_speed(name, speed) for speed in (0, 9)} <= set(allowed)
        assert {attribute_of_label(name, i, 0) for i in range(len(ATTRIBUTES))} <= set(allowed)


def test_a_predicted_attribute_wins_where_its_class_can_have_it():
    stopped = ATTRIBUTES.index('vehicle.stopped')
    boxes = [[0, 5, 0, 4, 2, 1, 0, 0, 0]] * 2
    entries = result_entries(sample_of(boxes, [0, 8], attr_labels=torch.tensor([stopped, stopped])), NUSCENES_CLASSES)
    assert [entry['attribute_name'] for entry in entries] == ['vehicle.stopped', 'pedestrian.standing']


def test_boxes_without_velocity_stand():
    sample = sample_of([], [])
    boxes = LiDARInstance3DBoxes(torch.tensor([[0.0, 5.0, 0.0, 4.0, 2.0, 1.0, 0.0]]))
    sample['pred_instances_3d'] = InstanceData(
        bboxes_3d=boxes, scores_3d=torch.ones(1), labels_3d=torch.zeros(1, dtype=torch.long)
    )
    (entry,) = result_entries(sample, NUSCENES_CLASSES)
    assert entry['velocity'] == [0, 0]
    assert entry['attribute_name'] == 'vehicle.parked'


def test_nothing_predicted_gives_no_entries():
    assert result_entries(sample_of([], []), NUSCENES_CLASSES) == []


def test_quaternions_turn_by_the_yaw_first():
    yaws = np.array([0.3, -2.0])
    result = turned_quaternions(LIDAR2EGO[:3, :3], yaws)
    for quaternion, yaw in zip(result, yaws, strict=True):
        expected = LIDAR2EGO[:3, :3] @ Quaternion(axis=[0, 0, 1], radians=yaw).rotation_matrix
        np.testing.assert_allclose(Quaternion(quaternion).rotation_matrix, expected, atol=1e-12)


def test_float32_matrices_are_made_orthonormal_again():
    rotation = rigid(EGO2GLOBAL.astype(np.float32), 'ego2global')[:3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-15)
    np.testing.assert_allclose(rotation, EGO2GLOBAL[:3, :3], atol=1e-6)


@pytest.mark.parametrize('matrix', [np.eye(3), np.diag([2.0, 2, 2, 1]), np.diag([-1.0, 1, 1, 1])])
def test_other_than_rigid_matrices_are_refused(matrix):
    with pytest.raises(DataError, match='lidar2ego'):
        rigid(matrix, 'lidar2ego')


def test_impossible_predictions_are_refused():
    broken = random_boxes(2)
    broken[1][3] = float('nan')
    with pytest.raises(NonFiniteError, match='sample t holds NaN'):
        result_entries(sample_of(broken, [0, 1]), NUSCENES_CLASSES)
    with pytest.raises(ConfigError, match='not Car'):
        result_entries(sample_of([], []), ['Car'])
