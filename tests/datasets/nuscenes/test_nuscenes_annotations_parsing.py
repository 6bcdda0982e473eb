from __future__ import annotations

import numpy as np
import pytest

from mono_distill.datasets.nuscenes.annotations import parse_instances


def instance(label=0, *, valid=True, lidar=5, velocity=(1.0, 2.0), z=1.0):
    return {
        'bbox_3d': [10.0, 20.0, z, 4.0, 2.0, 1.5, 0.3],
        'bbox_label_3d': label,
        'bbox_3d_isvalid': valid,
        'num_lidar_pts': lidar,
        'velocity': list(velocity),
    }


def test_the_origin_is_the_bottoms_centre():
    boxes = parse_instances([instance()], {0: 0})['gt_bboxes_3d']
    np.testing.assert_allclose(boxes.tensor.numpy(), [[10, 20, 0.25, 4, 2, 1.5, 0.3, 1, 2]], rtol=1e-6)
    np.testing.assert_allclose(boxes.gravity_center.numpy(), [[10, 20, 1]], rtol=1e-6)


def test_labels_go_by_the_map_and_others_are_left_out():
    found = parse_instances([instance(9), instance(3), instance(-1), instance(0)], {0: 5, 9: 2})
    assert found['gt_labels_3d'].tolist() == [2, 5]


def test_the_flag_keeps_what_only_the_radar_measured():
    seen_by_radar, unseen = instance(valid=True, lidar=0), instance(valid=False, lidar=0)
    assert len(parse_instances([seen_by_radar, unseen], {0: 0})['gt_bboxes_3d']) == 1
    assert len(parse_instances([seen_by_radar, unseen], {0: 0}, use_valid_flag=False)['gt_bboxes_3d']) == 0


@pytest.mark.parametrize('velocity', [(np.nan, np.nan), (np.nan, 1.0)])
def test_an_unknown_velocity_is_zero(velocity):
    assert parse_instances([instance(velocity=velocity)], {0: 0})['gt_bboxes_3d'].tensor[0, 7:].tolist() == [0, 0]


def test_no_boxes_keep_their_shape():
    found = parse_instances([], {0: 0})
    assert tuple(found['gt_bboxes_3d'].tensor.shape) == (0, 9)
    assert found['gt_labels_3d'].shape == (0,)
