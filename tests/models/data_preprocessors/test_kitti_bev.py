"""One batch of KITTI samples for students, assistants and teachers."""

import copy

import pytest
import torch
from kitti_bev_samples import bev_batch, bev_results
from mmengine.dataset import pseudo_collate

from mono_distill.datasets import PackKittiBEVInputs
from mono_distill.models.data_preprocessors import KittiBEVDataPreprocessor
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

VOXELS = dict(
    max_num_points=4, point_cloud_range=[2.0, -8.0, -3.0, 18.0, 8.0, 1.0], voxel_size=[0.5, 0.5, 4], max_voxels=900
)


def test_pictures_are_normalised_rgb_padded_at_the_bottom_right():
    small = bev_results(0)
    small['img'] = small['img'][:40, :150]
    small['img_shape'] = (40, 150)
    batch = pseudo_collate([PackKittiBEVInputs()(small), PackKittiBEVInputs()(bev_results(1))])
    imgs = KittiBEVDataPreprocessor()(batch)['inputs']['imgs']
    assert imgs.shape == (2, 3, 48, 160)
    blue, green, red = batch['inputs']['img'][0][:, 3, 5].float()
    expected = torch.tensor([(red - 123.675) / 58.395, (green - 116.28) / 57.12, (blue - 103.53) / 57.375])
    torch.testing.assert_close(imgs[0, :, 3, 5], expected)
    assert imgs[0, :, 40:].abs().sum() == imgs[0, :, :, 150:].abs().sum() == 0
    assert imgs[1, :, 47, 159].abs().sum() > 0


def test_depth_is_padded_with_nothing():
    small = bev_results(0, img_shape=(40, 150))
    small['img'] = small['img'][:40, :150]
    small['gt_depth'] = torch.full((5, 19), 9.0).numpy()
    large = bev_results(1, gt_depth=torch.full((6, 20), 9.0).numpy())
    batch = pseudo_collate([PackKittiBEVInputs()(small), PackKittiBEVInputs()(large)])
    depth = KittiBEVDataPreprocessor()(batch)['inputs']['gt_depth']
    assert depth.shape == (2, 6, 20)
    assert depth[0].sum() == 9 * 5 * 19
    assert depth[1].eq(9).all()


def test_points_become_voxels_of_numbered_samples():
    batch = bev_batch(2)
    inputs = KittiBEVDataPreprocessor('points', VOXELS)(batch)['inputs']
    voxels = inputs['voxels']
    assert set(inputs) == {'points', 'voxels'}
    assert voxels['coors'][:, 0].unique().tolist() == [0, 1]
    assert voxels['voxels'].shape[1:] == (4, 4)
    row = voxels['coors'].shape[0] - 1
    first = voxels['voxels'][row, 0, :2]
    cell = torch.floor((first - torch.tensor([2.0, -8.0])) / 0.5).int()
    assert voxels['coors'][row, [3, 2]].tolist() == cell.tolist()


def test_the_batch_that_comes_in_is_not_changed():
    batch = bev_batch(2)
    before = copy.deepcopy(batch['inputs'])
    for preprocessor in (KittiBEVDataPreprocessor(), KittiBEVDataPreprocessor('points', VOXELS)):
        preprocessor(batch, training=True)
    assert batch['inputs'].keys() == before.keys()
    for key, values in before.items():
        assert all(torch.equal(a, b) for a, b in zip(values, batch['inputs'][key], strict=True)), key


def test_a_camera_detector_needs_neither_points_nor_depth():
    batch = bev_batch(2, depth=False)
    del batch['inputs']['points']
    assert set(KittiBEVDataPreprocessor()(batch)['inputs']) == {'imgs'}


def test_what_is_missing_is_named_with_the_samples():
    batch = bev_batch(2)
    del batch['inputs']['img']
    with pytest.raises(DataError, match=r'no img .*000000, 000001.*LoadMonoImage'):
        KittiBEVDataPreprocessor()(batch)
    del batch['inputs']['points']
    with pytest.raises(DataError, match=r'no points .*000000, 000001.*LoadKittiBEVPoints'):
        KittiBEVDataPreprocessor('points', VOXELS)(batch)


def test_depth_of_another_stride_is_refused():
    batch = bev_batch(1)
    batch['inputs']['gt_depth'] = [torch.zeros(3, 10)]
    with pytest.raises(ShapeError, match=r'\(3, 10\).*downsample=8'):
        KittiBEVDataPreprocessor()(batch)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(modality='radar'), 'modality'),
        (dict(modality='points'), 'voxel_layer'),
        (dict(voxel_layer=VOXELS), 'voxel_layer'),
        (dict(std=(1, 1, 0)), 'std > 0'),
        (dict(pad_size_divisor=12), 'multiple'),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        KittiBEVDataPreprocessor(**options)
