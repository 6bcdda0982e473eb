from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
from multi_view_samples import sample

from mono_distill.datasets.transforms import BEVGlobalAug, LidarDepthTargets, MultiViewImageAug, PackBEVInputs
from mono_distill.datasets.transforms.pack_bev import BEV_META_KEYS
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError


def prepared(**options):
    results = MultiViewImageAug((32, 64))(sample(**options))
    return LidarDepthTargets(8)(results)


@pytest.mark.parametrize(('frames', 'cameras', 'past'), [(1, 6, 0), (2, 6, 3), (3, 5, 1)])
def test_inputs_have_the_shapes_and_types_of_the_contract(frames, cameras, past):
    inputs = PackBEVInputs()(prepared(frames=frames, cameras=cameras, past=past, points=40))['inputs']
    kinds = {key: (tuple(value.shape), value.dtype) for key, value in inputs.items() if key != 'past_points'}
    matrices = ((frames, cameras, 4, 4), torch.float32)
    assert kinds == {
        'imgs': ((frames, cameras, 3, 32, 64), torch.uint8),
        'cam2img': matrices,
        'cam2lidar': matrices,
        'img_aug_matrix': matrices,
        'lidar_aug_matrix': ((4, 4), torch.float32),
        'frame_exists': ((frames,), torch.bool),
        'gt_depth': ((cameras, 4, 8), torch.float32),
        'points': ((40, 5), torch.float32),
        'past_exists': ((past,), torch.bool),
    }
    assert [tuple(points.shape) for points in inputs['past_points']] == [(20, 5)] * past


def test_pictures_stay_bgr_in_their_place():
    results = prepared(frames=2)
    images = PackBEVInputs()(results)['inputs']['imgs']
    for time, camera in np.ndindex(2, 6):
        np.testing.assert_array_equal(images[time, camera].permute(1, 2, 0), results['img'][time][camera])


def test_objects_and_metainfo_are_packed():
    results = BEVGlobalAug()(prepared())
    packed = PackBEVInputs()(results)['data_samples']
    assert isinstance(packed, Det3DDataSample)
    assert isinstance(packed.gt_instances_3d.bboxes_3d, LiDARInstance3DBoxes)
    assert set(packed.gt_instances_3d.keys()) == {'bboxes_3d', 'labels_3d'}
    torch.testing.assert_close(packed.gt_instances_3d.bboxes_3d.tensor, results['gt_bboxes_3d'].tensor)
    assert packed.gt_instances_3d.labels_3d.tolist() == [0, 1, 2, 3, 4]
    assert set(packed.metainfo) == set(BEV_META_KEYS)
    assert packed.metainfo['img_shape'] == (32, 64)
    np.testing.assert_array_equal(packed.metainfo['lidar_aug_matrix'], results['lidar_aug_matrix'])


def test_without_annotations_there_are_no_objects():
    results = prepared()
    del results['gt_bboxes_3d'], results['gt_labels_3d']
    assert 'gt_instances_3d' not in PackBEVInputs()(results)['data_samples']


def test_a_lidar_sample_needs_no_pictures():
    full = sample(past=1)
    keys = ('points', 'past_points', 'past_exists', 'token')
    inputs = PackBEVInputs()({key: full[key] for key in keys})['inputs']
    assert set(inputs) == {'points', 'past_points', 'past_exists', 'lidar_aug_matrix'}
    torch.testing.assert_close(inputs['lidar_aug_matrix'], torch.eye(4))


def test_points_can_be_left_out():
    inputs = PackBEVInputs(with_points=False)(prepared(past=1))['inputs']
    assert 'gt_depth' in inputs
    assert not {'points', 'past_points', 'past_exists'} & set(inputs)


@pytest.mark.parametrize('key', ['cam2img', 'cam2lidar', 'img_aug_matrix', 'lidar_aug_matrix'])
@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_a_matrix_that_is_not_finite_is_refused_with_the_sample(key, value):
    results = prepared()
    results[key] = results[key].copy()
    results[key].flat[3] = value
    with pytest.raises(DataError, match=rf'{key} is not finite \(sample ca9a282c\); check the calibration'):
        PackBEVInputs()(results)


def test_a_matrix_of_another_shape_is_refused():
    results = prepared(frames=2)
    results['cam2lidar'] = results['cam2lidar'][:1]
    with pytest.raises(ShapeError, match=r'cam2lidar must be \(2, 6, 4, 4\), got \(1, 6, 4, 4\) \(sample ca9a282c\)'):
        PackBEVInputs()(results)


def test_pictures_of_different_size_are_refused():
    results = sample()
    results['img'][0][1] = results['img'][0][1][:-1]
    with pytest.raises(ShapeError, match='differ in size.*MultiViewImageAug'):
        PackBEVInputs()(results)


def test_a_frame_that_lacks_a_view_is_refused():
    results = prepared(frames=2)
    results['img'][1].pop()
    with pytest.raises(ShapeError, match=r'frames have \[6, 5\] cameras \(sample ca9a282c\); a view is missing'):
        PackBEVInputs()(results)


@pytest.mark.parametrize('key', ['cam2img', 'cam2lidar', 'img_aug_matrix', 'frame_exists'])
def test_a_missing_key_is_named(key):
    results = prepared()
    del results[key]
    with pytest.raises(ConfigError, match=f'PackBEVInputs found no {key}; put mono_distill.LoadMultiViewImages'):
        PackBEVInputs()(results)


def test_past_points_without_their_mask_are_refused():
    results = prepared(past=1)
    del results['past_exists']
    with pytest.raises(ConfigError, match='found no past_exists; put mono_distill.LoadLidarSweeps'):
        PackBEVInputs()(results)


def test_an_empty_sample_is_refused():
    with pytest.raises(ConfigError, match='neither img nor points'):
        PackBEVInputs()({})


def test_configs_name_it():
    transform = TRANSFORMS.build(dict(type='mono_distill.PackBEVInputs', meta_keys=['token'], with_points=False))
    assert repr(transform) == "PackBEVInputs(meta_keys=('token',), with_points=False)"
