"""The whole pipeline from files to what two detectors take, as the configs write it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from nuscenes import NuScenes
from nuscenes.utils.geometry_utils import view_points
from tiny_nuscenes import VERSION

from mono_distill.datasets.nuscenes.classes import CLASS_OF_CATEGORY
from mono_distill.models import BEVDataPreprocessor
from mono_distill.registry import DATASETS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / '_base_' / 'datasets'
PIPELINES = [
    'train', 'train_4d', 'test', 'test_4d', 'points_train', 'points_test', 'distill', 'distill_4d', 'distill_test',
    'distill_4d_test', 'stxd', 'stxd_4d', 'camera_train', 'camera_train_4d', 'camera_stxd', 'camera_stxd_4d',
]  # fmt: skip
VOXELS = dict(
    voxel_size=[0.8, 0.8, 8.0], point_cloud_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0], max_num_points=20,
    max_voxels=(6000, 6000),
)  # fmt: skip


def dataset_of(root, pipeline, split='train', config='nus_bev_tiny.py', seed=0, **options):
    """Build the data set of a base config with one of its pipelines."""
    init_default_scope('mmdet3d')
    loaded = Config.fromfile(CONFIGS / config)
    dataset = loaded[f'{split}_dataloader'].dataset
    dataset.update(data_root=str(root), pipeline=loaded[f'{pipeline}_pipeline'], **options)
    built = DATASETS.build(dataset)
    built.set_seed(seed)
    return built


@pytest.mark.parametrize('name', PIPELINES)
def test_every_pipeline_gives_the_inputs_it_promises(name, tiny_nuscenes):
    dataset = dataset_of(tiny_nuscenes, name, 'val' if 'test' in name else 'train')
    batch = pseudo_collate([dataset[0], dataset[2]])
    frames = 2 if '4d' in name else 1
    expected = {'lidar_aug_matrix'}
    if 'points' not in name:
        expected |= {'imgs', 'cam2img', 'cam2lidar', 'img_aug_matrix', 'frame_exists'}
        assert batch['inputs']['imgs'][0].shape == (frames, 6, 3, 128, 352)
        assert [exists.tolist() for exists in batch['inputs']['frame_exists']] == [
            [True, False][:frames],
            [True, True][:frames],
        ]
    if not name.startswith(('points', 'camera')) and 'test' not in name:
        expected |= {'gt_depth'}
        assert (batch['inputs']['gt_depth'][0] > 0).float().mean() > 0.2
    if name.startswith(('points', 'distill')) or 'stxd' in name:
        expected |= {'points'}
    if 'stxd' in name:
        expected |= {'past_points', 'past_exists'}
        assert [exists.tolist() for exists in batch['inputs']['past_exists']] == [[False], [True]]
    assert set(batch['inputs']) == expected
    assert ('gt_instances_3d' in batch['data_samples'][0]) == ('test' not in name)


@pytest.mark.parametrize(('full', 'less'), [('train_4d', 'camera_train_4d'), ('stxd', 'camera_stxd')])
def test_without_depth_targets_all_else_stays_the_same(full, less, tiny_nuscenes):
    given, bare = (dataset_of(tiny_nuscenes, name)[2] for name in (full, less))
    assert set(given['inputs']) - set(bare['inputs']) == {'gt_depth'}
    for key, value in bare['inputs'].items():
        torch.testing.assert_close(value, given['inputs'][key], rtol=0, atol=0)
    boxes = [sample['data_samples'].gt_instances_3d.bboxes_3d.tensor for sample in (given, bare)]
    assert torch.equal(*boxes)


def test_student_and_teacher_take_one_batch(tiny_nuscenes):
    dataset = dataset_of(tiny_nuscenes, 'stxd_4d')
    batch = pseudo_collate([dataset[1], dataset[2]])
    student = BEVDataPreprocessor()(batch, True)['inputs']
    teacher = BEVDataPreprocessor('points', voxel_layer=VOXELS, past=True)(batch, True)['inputs']
    assert student['imgs'].shape == (2, 2, 6, 3, 128, 352)
    assert abs(student['imgs'].mean()) < 1.5
    assert teacher['num_past'] == 1
    coors = teacher['voxels']['coors']
    assert coors[:, 0].unique().tolist() == [0, 1, 2, 3]
    assert (coors[:, 0].bincount() > 1000).all()
    points = teacher['points'][0]
    assert points[:, :2].abs().max() <= 51.2
    assert points[:, 4].unique().numel() == 5  # the scan and four sweeps


def test_two_runs_give_the_same_samples_and_epochs_differ(tiny_nuscenes):
    first, again = (dataset_of(tiny_nuscenes, 'distill', seed=5) for _ in range(2))
    for key, value in first[1]['inputs'].items():
        torch.testing.assert_close(value, again[1]['inputs'][key], rtol=0, atol=0)
    again.set_epoch(1)
    assert not torch.equal(first[1]['inputs']['lidar_aug_matrix'], again[1]['inputs']['lidar_aug_matrix'])


def test_the_class_balanced_form_draws_more_samples_of_the_same_pipeline(tiny_nuscenes):
    init_default_scope('mmdet3d')
    options = Config.fromfile(CONFIGS / 'nus_bev_256x704_cbgs.py').train_dataloader.dataset
    options.dataset.data_root = str(tiny_nuscenes)
    dataset = DATASETS.build(options)
    assert len(dataset) > len(dataset.dataset) == 3
    assert dataset[len(dataset) - 1]['inputs']['imgs'].shape == (1, 6, 3, 256, 704)


@pytest.fixture(scope='module')
def devkit(tiny_nuscenes):
    return NuScenes(VERSION, str(tiny_nuscenes), verbose=False)


@pytest.mark.parametrize(('pipeline', 'seed'), [('test', 0), ('distill', 0), ('distill', 1), ('distill_4d', 2)])
def test_annotations_are_in_the_picture_where_the_devkit_projects_them(pipeline, seed, tiny_nuscenes, devkit):
    """Box of the data base -> devkit -> A, against augmented box -> G^-1 -> camera -> K -> A."""
    dataset = dataset_of(tiny_nuscenes, 'distill' if pipeline == 'test' else pipeline, seed=seed)
    if pipeline == 'test':
        for step in dataset.pipeline.transforms:
            if type(step).__name__ == 'MultiViewImageAug':
                step.training = False
    compared = 0
    for index in range(len(dataset)):
        packed = dataset[index]['data_samples']
        meta = packed.metainfo
        centres = packed.gt_instances_3d.bboxes_3d.gravity_center.double().numpy()
        back = np.linalg.inv(meta['lidar_aug_matrix'])
        centres = centres @ back[:3, :3].T + back[:3, 3]
        for camera, name in enumerate(meta['cameras']):
            token = devkit.get('sample', meta['token'])['data'][name]
            _, boxes, intrinsic = devkit.get_sample_data(token)
            theirs = np.array([box.center for box in boxes if box.name in CLASS_OF_CATEGORY]).reshape(-1, 3)
            ours = centres @ meta['lidar2cam'][camera][:3, :3].T + meta['lidar2cam'][camera][:3, 3]
            if not len(theirs) or not len(ours):
                continue
            gaps = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
            pairs = [(row, gaps[row].argmin()) for row in range(len(ours)) if gaps[row].min() < 0.05]
            for row, column in pairs:
                matrix = meta['img_aug_matrix'][0, camera]
                expected = view_points(theirs[column][:, None], intrinsic, normalize=True)[:2, 0]
                expected = matrix[:2, :2] @ expected + matrix[:2, 3]
                pixel = meta['cam2img'][0, camera][:3, :3] @ ours[row]
                pixel = matrix[:2, :2] @ (pixel[:2] / pixel[2]) + matrix[:2, 3]
                np.testing.assert_allclose(pixel, expected, atol=0.5)
                compared += 1
    assert compared > 20


def points_inside(points, box):
    """How many points lie in a box (x, y, z_bottom, dx, dy, dz, yaw)."""
    offset = points[:, :3] - box[:3]
    cosine, sine = np.cos(box[6]), np.sin(box[6])
    along = cosine * offset[:, 0] + sine * offset[:, 1]
    across = -sine * offset[:, 0] + cosine * offset[:, 1]
    inside = (np.abs(along) <= box[3] / 2) & (np.abs(across) <= box[4] / 2)
    return int((inside & (offset[:, 2] >= 0) & (offset[:, 2] <= box[5])).sum())


def counts_by_place(inputs, sample):
    """Points of the key-frame in each box, and where the box was before augmentation."""
    points = inputs['points'].double().numpy()
    points = points[points[:, 4] == 0]
    back = np.linalg.inv(inputs['lidar_aug_matrix'].double().numpy())
    boxes = sample.gt_instances_3d.bboxes_3d
    counts = [points_inside(points, box) for box in boxes.tensor.double().numpy()]
    centres = boxes.gravity_center.double().numpy() @ back[:3, :3].T + back[:3, 3]
    return {tuple(np.round(centre, 1)): count for centre, count in zip(centres, counts, strict=True)}


@pytest.mark.real
@pytest.mark.parametrize('seed', range(4))
def test_the_real_key_frame_keeps_its_points_in_its_boxes(seed, nuscenes_real):
    """The number of LiDAR points in a box, as annotated, is found again in the augmented box of the augmented cloud."""
    options = dict(config='nus_bev_256x704.py', ann_file='infos/mmdet3d_demo_infos.pkl')
    dataset = dataset_of(nuscenes_real, 'distill', seed=seed, **options)
    packed = dataset[0]
    assert packed['inputs']['imgs'].shape == (1, 6, 3, 256, 704)
    assert packed['inputs']['gt_depth'].shape == (6, 16, 44)
    assert (packed['inputs']['gt_depth'] > 0).float().mean() > 0.4
    annotated = dataset_of(nuscenes_real, 'points_test', seed=seed, **options).get_data_info(0)
    counts = counts_by_place(packed['inputs'], packed['data_samples'])
    assert len(counts) > 30
    stored = {}
    for instance in infos(nuscenes_real)[0]['instances']:
        box = instance['bbox_3d']
        stored[tuple(np.round(box[:3], 1))] = instance['num_lidar_pts']
    matched = {place: (count, stored[place]) for place, count in counts.items() if place in stored}
    assert len(matched) > 25
    assert annotated['token'] == packed['data_samples'].metainfo['token']
    differences = [abs(found - said) for found, said in matched.values()]
    assert np.mean(np.array(differences) <= 1) > 0.9


def infos(root):
    import pickle

    return pickle.loads((root / 'infos' / 'mmdet3d_demo_infos.pkl').read_bytes())['data_list']


@pytest.mark.real
def test_the_real_key_frame_goes_through_both_preprocessors(nuscenes_real):
    options = dict(config='nus_bev_256x704.py', ann_file='infos/mmdet3d_demo_infos.pkl')
    batch = pseudo_collate([dataset_of(nuscenes_real, 'distill', seed=seed, **options)[0] for seed in (0, 1)])
    student = BEVDataPreprocessor()(batch)['inputs']
    teacher = BEVDataPreprocessor('points', voxel_layer=VOXELS)(batch)['inputs']
    assert student['imgs'].shape == (2, 1, 6, 3, 256, 704)
    assert student['imgs'].isfinite().all()
    assert (teacher['voxels']['coors'][:, 0].bincount() > 2000).all()
    assert not torch.equal(student['img_aug_matrix'][0], student['img_aug_matrix'][1])
