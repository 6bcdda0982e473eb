from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample, LiDARPoints

from mono_distill.datasets.transforms import MonoRandomCropAffine, MonoRandomFlip, PackMono3DInputs
from mono_distill.datasets.transforms.pack import META_KEYS
from mono_distill.utils.errors import ConfigError


def test_inputs_are_channels_first_tensors(make_sample):
    results = make_sample()
    packed = PackMono3DInputs()(results)
    assert packed['inputs']['img'].dtype == torch.uint8
    np.testing.assert_array_equal(packed['inputs']['img'].permute(1, 2, 0), results['img'])
    assert packed['inputs']['depth_map'].dtype == torch.float32
    np.testing.assert_array_equal(packed['inputs']['depth_map'][0], results['depth_map'])


def test_objects_are_packed_with_all_their_fields(make_sample):
    results = make_sample(count=3)
    sample = PackMono3DInputs()(results)['data_samples']
    assert isinstance(sample, Det3DDataSample)
    assert set(sample.gt_instances_3d.keys()) == {
        'bboxes_3d', 'labels_3d', 'bboxes', 'alpha', 'truncated', 'occluded', 'difficulty', 'centers_2d', 'depths',
    }  # fmt: skip
    assert isinstance(sample.gt_instances_3d.bboxes_3d, CameraInstance3DBoxes)
    assert sample.gt_instances_3d.labels_3d.dtype == torch.int64
    np.testing.assert_array_equal(sample.gt_instances_3d.centers_2d, results['gt_centers_2d'])


def test_the_metainfo_describes_the_augmentation(make_sample):
    results = MonoRandomCropAffine((320, 96), 1.0)(MonoRandomFlip(1.0)(make_sample()))
    metainfo = PackMono3DInputs()(dict(results, sample_idx=4, img_path='a.png', lidar_path='a.bin'))[
        'data_samples'
    ].metainfo
    assert set(META_KEYS) == set(metainfo)
    assert metainfo['flip'] is metainfo['random_crop'] is True
    assert metainfo['crop_scale'] == results['crop_scale'] != 1
    assert metainfo['img_shape'] == (96, 320)
    np.testing.assert_array_equal(metainfo['cam2img'], results['cam2img'])


def test_a_sample_without_augmentation_says_so(make_sample):
    metainfo = PackMono3DInputs()(make_sample())['data_samples'].metainfo
    assert (metainfo['flip'], metainfo['crop_scale'], metainfo['random_crop']) == (False, 1.0, False)
    np.testing.assert_array_equal(metainfo['trans_mat'], np.eye(3))


def test_a_picture_without_annotations_and_depth_is_packed():
    packed = PackMono3DInputs()(dict(img=np.zeros((4, 6, 3), np.float32)))
    assert set(packed['inputs']) == {'img'}
    assert 'gt_instances_3d' not in packed['data_samples']


@pytest.mark.parametrize('kind', [np.asarray, lambda values: LiDARPoints(torch.from_numpy(values), points_dim=4)])
def test_loaded_points_are_packed(make_sample, kind):
    cloud = np.ones((7, 4), np.float32)
    packed = PackMono3DInputs()(dict(make_sample(), points=kind(cloud)))
    torch.testing.assert_close(packed['inputs']['points'], torch.from_numpy(cloud))


def test_further_meta_keys_can_be_asked_for(make_sample):
    sample = PackMono3DInputs([*META_KEYS, 'weather'])(dict(make_sample(), weather='rain'))['data_samples']
    assert sample.weather == 'rain'


def test_a_pipeline_without_a_picture_is_refused():
    with pytest.raises(ConfigError, match='put LoadMonoImage at the head'):
        PackMono3DInputs()({})
