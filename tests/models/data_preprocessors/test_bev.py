from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from multi_view_samples import cloud, sample

from mono_distill.datasets.transforms import LidarDepthTargets, MultiViewImageAug, PackBEVInputs
from mono_distill.models import BEVDataPreprocessor
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
VOXELS = dict(
    voxel_size=[1.6, 1.6, 8.0], point_cloud_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0], max_num_points=4,
    max_voxels=[500, 400],
)  # fmt: skip


def packed(size=(32, 64), **options):
    results = MultiViewImageAug(size)(sample(**options))
    return PackBEVInputs()(LidarDepthTargets(8)(results))


def batch_of(count, **options):
    return pseudo_collate([packed(points=150 + 10 * index, **options) for index in range(count)])


def same(left, right):
    """Whether two trees hold equal tensors."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return torch.equal(left, right)


@pytest.mark.parametrize('samples', [1, 2, 3])
@pytest.mark.parametrize(('frames', 'cameras'), [(1, 6), (2, 5), (3, 6)])
def test_camera_inputs_have_the_shapes_of_the_contract(samples, frames, cameras):
    batch = batch_of(samples, frames=frames, cameras=cameras)
    out = BEVDataPreprocessor()(batch)
    kinds = {key: (tuple(value.shape), value.dtype) for key, value in out['inputs'].items()}
    matrices = ((samples, frames, cameras, 4, 4), torch.float32)
    assert kinds == {
        'imgs': ((samples, frames, cameras, 3, 32, 64), torch.float32),
        'cam2img': matrices,
        'cam2lidar': matrices,
        'img_aug_matrix': matrices,
        'lidar_aug_matrix': ((samples, 4, 4), torch.float32),
        'frame_exists': ((samples, frames), torch.bool),
        'gt_depth': ((samples, cameras, 4, 8), torch.float32),
    }
    assert out['inputs']['frame_exists'].tolist() == [[True, True, False][:frames]] * samples
    assert len(out['data_samples']) == samples


def test_pictures_become_normalised_rgb():
    batch = batch_of(2, frames=2)
    images = BEVDataPreprocessor()(batch)['inputs']['imgs']
    expected = (batch['inputs']['imgs'][1].float()[:, :, [2, 1, 0]] - MEAN) / STD
    torch.testing.assert_close(images[1], expected)
    assert images.is_contiguous()


def test_own_statistics_are_used():
    batch = batch_of(1)
    images = BEVDataPreprocessor(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])(batch)['inputs']['imgs']
    blue = batch['inputs']['imgs'][0][:, :, 0].float()
    torch.testing.assert_close(images[0, :, :, 2], (blue - 3) / 6)


def test_testing_samples_need_no_depth():
    batch = batch_of(2)
    del batch['inputs']['gt_depth']
    assert 'gt_depth' not in BEVDataPreprocessor()(batch)['inputs']


def voxels_by_loops(points, max_points):
    """Cell (z, y, x) -> the points in it, in their order."""
    cells = {}
    for point in points.tolist():
        x, y, z = (int(np.floor((value - low) / size)) for value, low, size in zip(
            point[:3], VOXELS['point_cloud_range'][:3], VOXELS['voxel_size'], strict=True
        ))  # fmt: skip
        if 0 <= x < 64 and 0 <= y < 64 and z == 0:
            cells.setdefault((z, y, x), []).append(point)
    return {cell: content[:max_points] for cell, content in cells.items()}


@pytest.mark.parametrize('samples', [1, 2, 3])
@pytest.mark.parametrize('past', [0, 1, 2])
def test_points_are_voxelised_with_their_past_behind_them(samples, past):
    batch = batch_of(samples, past=past, cameras=5)
    inputs = BEVDataPreprocessor('points', voxel_layer=VOXELS, past=True)(batch)['inputs']
    assert [len(points) for points in inputs['points']] == [150 + 10 * index for index in range(samples)]
    assert inputs['num_past'] == past
    assert inputs['past_exists'].tolist() == [[True, False][:past]] * samples
    voxels, num_points, coors = (inputs['voxels'][key] for key in ('voxels', 'num_points', 'coors'))
    assert voxels.shape[1:] == (4, 5)
    assert coors.shape[1] == 4
    clouds = [points.tensor for points in (cloud(150 + 10 * b) for b in range(samples))]
    clouds += [cloud((150 + 10 * b) // 2, seed=1 + k).tensor for k in range(past) for b in range(samples)]
    for number, points in enumerate(clouds):
        rows = (coors[:, 0] == number).nonzero().flatten().tolist()
        got = {tuple(coors[row, 1:].tolist()): voxels[row, : num_points[row]].tolist() for row in rows}
        assert got == voxels_by_loops(points, 4)


def test_without_past_the_past_clouds_stay_where_they_are():
    batch = batch_of(2, past=2)
    inputs = BEVDataPreprocessor('points', voxel_layer=VOXELS)(batch)['inputs']
    assert set(inputs) == {'points', 'voxels'}
    assert inputs['voxels']['coors'][:, 0].unique().tolist() == [0, 1]


def test_a_last_sample_without_points_has_no_voxels_but_is_counted():
    batch = pseudo_collate([packed(points=100), packed(points=0)])
    inputs = BEVDataPreprocessor('points', voxel_layer=VOXELS)(batch)['inputs']
    assert len(inputs['points']) == 2
    assert inputs['voxels']['coors'][:, 0].unique().tolist() == [0]


def test_a_batch_without_points_has_voxels_of_the_right_shape():
    batch = pseudo_collate([packed(points=0), packed(points=0)])
    voxels = BEVDataPreprocessor('points', voxel_layer=VOXELS)(batch)['inputs']['voxels']
    assert voxels['voxels'].shape == (0, 4, 5)
    assert voxels['coors'].shape == (0, 4)


def test_fewer_voxels_are_kept_in_testing():
    batch = pseudo_collate([packed(points=4000)])
    preprocessor = BEVDataPreprocessor('points', voxel_layer=VOXELS)
    assert len(preprocessor(batch)['inputs']['voxels']['voxels']) == 500
    assert len(preprocessor.eval()(batch)['inputs']['voxels']['voxels']) == 400


def test_the_batch_stays_as_it_was_for_the_next_preprocessor():
    batch = batch_of(2, frames=2, past=1)
    kept = copy.deepcopy(batch)
    ids = {key: [id(value) for value in values] for key, values in batch['inputs'].items()}
    student, teacher = BEVDataPreprocessor(), BEVDataPreprocessor('points', voxel_layer=VOXELS, past=True)
    first = student(batch, True)
    teacher(batch, True)
    again = student(batch, True)
    assert same(first['inputs'], again['inputs'])
    assert same(batch['inputs'], kept['inputs'])
    assert ids == {key: [id(value) for value in values] for key, values in batch['inputs'].items()}
    boxes = [sample.gt_instances_3d.bboxes_3d.tensor for sample in batch['data_samples']]
    assert same(boxes, [sample.gt_instances_3d.bboxes_3d.tensor for sample in kept['data_samples']])


@pytest.mark.parametrize(('modality', 'others'), [('camera', ['points']), ('points', ['imgs', 'cam2img', 'gt_depth'])])
def test_what_is_not_looked_at_is_not_moved(modality, others):
    batch = batch_of(2)
    for key in others:
        batch['inputs'][key] = 'not a tensor'
    out = BEVDataPreprocessor(modality, voxel_layer=VOXELS if modality == 'points' else None)(batch)
    assert not set(others) & set(out['inputs'])
    assert [batch['inputs'][key] for key in others] == ['not a tensor'] * len(others)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(frames=2), 'differ in number of frames.*use one num_frames'),
        (dict(cameras=5), 'differ in number of cameras.*a view of a sample is missing'),
        (dict(size=(32, 72)), r'differ in size.*\(samples ca9a282c, ca9a282c\).*MultiViewImageAug'),
    ],
)
def test_samples_that_do_not_fit_together_are_refused(options, message):
    batch = pseudo_collate([packed(), packed(**options)])
    with pytest.raises(ShapeError, match=message):
        BEVDataPreprocessor()(batch)


def test_matrices_that_do_not_fit_together_are_refused():
    batch = batch_of(2)
    batch['inputs']['lidar_aug_matrix'][1] = torch.eye(3)
    with pytest.raises(ShapeError, match=r'lidar_aug_matrix: samples of one batch differ in shape'):
        BEVDataPreprocessor()(batch)


def test_single_camera_pictures_are_refused():
    batch = batch_of(1)
    batch['inputs']['imgs'][0] = batch['inputs']['imgs'][0][0]
    with pytest.raises(ShapeError, match=r'expected \(T, N, 3, H, W\)'):
        BEVDataPreprocessor()(batch)


def test_clouds_of_different_width_are_refused():
    batch = batch_of(2)
    batch['inputs']['points'][1] = batch['inputs']['points'][1][:, :4]
    with pytest.raises(ShapeError, match=r'expected clouds \(n, C\) with one C'):
        BEVDataPreprocessor('points', voxel_layer=VOXELS)(batch)


def test_past_clouds_that_do_not_match_their_mask_are_refused():
    batch = batch_of(2, past=2)
    batch['inputs']['past_exists'] = [exists[:1] for exists in batch['inputs']['past_exists']]
    with pytest.raises(ShapeError, match=r'expected 1 frames \(past_exists\) of 2 clouds'):
        BEVDataPreprocessor('points', voxel_layer=VOXELS, past=True)(batch)


@pytest.mark.parametrize(
    ('options', 'key', 'cure'),
    [
        (dict(), 'imgs', 'LoadMultiViewImages'),
        (dict(), 'cam2lidar', 'LoadMultiViewImages'),
        (dict(modality='points', voxel_layer=VOXELS), 'points', 'LoadLidarSweeps'),
        (dict(modality='points', voxel_layer=VOXELS, past=True), 'past_exists', r'LoadLidarSweeps\(num_past=K\)'),
    ],
)
def test_a_missing_input_is_named_with_its_transform(options, key, cure):
    batch = batch_of(2, past=1)
    del batch['inputs'][key]
    with pytest.raises(DataError, match=f'no {key} among the inputs.*ca9a282c.*add mono_distill.{cure}'):
        BEVDataPreprocessor(**options)(batch)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(modality='lidar'), "modality must be 'camera' or 'points'"),
        (dict(std=(1.0, 1.0, 0.0)), 'mean and std need 3 values'),
        (dict(mean=(1.0,)), 'mean and std need 3 values'),
        (dict(voxel_layer=VOXELS), "belong to modality='points'"),
        (dict(past=True), "belong to modality='points'"),
        (dict(modality='points'), 'needs a voxel_layer'),
        (dict(modality='points', voxel_layer={**VOXELS, 'voxel_size': [1.5, 1.6, 8.0]}), 'voxels of 1.5 m do not'),
        (dict(modality='points', voxel_layer={**VOXELS, 'voxel_size': [1.6, 0, 8.0]}), 'a voxel_size of 3 positive'),
        (dict(modality='points', voxel_layer={**VOXELS, 'point_cloud_range': [0, 1]}), 'a point_cloud_range of 6'),
        (
            dict(modality='points', voxel_layer={**VOXELS, 'point_cloud_range': [51.2, 0, -5, -51.2, 16, 3]}),
            'do not divide the range 51.2 to -51.2 m of x',
        ),
        (dict(modality='points', voxel_layer={**VOXELS, 'size': 1}), "voxel_layer: .*'size'"),
    ],
)
def test_impossible_arguments_are_refused(options, message):
    with pytest.raises(ConfigError, match=f'BEVDataPreprocessor: .*{message}'):
        BEVDataPreprocessor(**options)


def test_a_camera_preprocessor_does_not_voxelise():
    with pytest.raises(ConfigError, match="only modality='points' voxelises"):
        BEVDataPreprocessor().voxelize([])


def test_it_adds_nothing_to_a_checkpoint_and_configs_name_it():
    preprocessor = MODELS.build(dict(type='mono_distill.BEVDataPreprocessor', modality='points', voxel_layer=VOXELS))
    assert preprocessor.state_dict() == {}
