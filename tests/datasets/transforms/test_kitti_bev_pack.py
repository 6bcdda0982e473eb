"""Samples of picture, points and LiDAR boxes as tensors."""

import numpy as np
import pytest
import torch
from kitti_bev_samples import bev_results

from mono_distill.datasets import KittiBEVDepth, PackKittiBEVInputs
from mono_distill.utils.errors import ConfigError


def test_everything_is_packed():
    results = KittiBEVDepth()(bev_results())
    packed = PackKittiBEVInputs()(results)
    inputs, sample = packed['inputs'], packed['data_samples']
    assert {key: tuple(value.shape) for key, value in inputs.items()} == {
        'img': (3, 48, 160),
        'points': (4400, 4),
        'gt_depth': (6, 20),
    }
    assert inputs['img'].dtype == torch.uint8
    np.testing.assert_array_equal(inputs['img'].permute(1, 2, 0), results['img'])
    assert sample.gt_instances_3d.bboxes_3d is results['gt_bboxes_3d']
    assert sample.metainfo['flip'] is False
    np.testing.assert_array_equal(sample.metainfo['lidar2cam'], results['lidar2cam'])


@pytest.mark.parametrize('kept', ['img', 'points'])
def test_one_of_picture_and_points_will_do(kept):
    results = bev_results()
    del results['points' if kept == 'img' else 'img'], results['gt_bboxes_3d']
    packed = PackKittiBEVInputs()(results)
    assert list(packed['inputs']) == [kept]
    assert 'gt_instances_3d' not in packed['data_samples']


def test_nothing_to_pack():
    with pytest.raises(ConfigError, match='neither img nor points'):
        PackKittiBEVInputs()({})
