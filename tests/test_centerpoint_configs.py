"""The teachers' configs on nuScenes: the published ones are mmdet3d's, the small one trains and is evaluated."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mono_distill.apis import launch
from mono_distill.datasets.nuscenes.classes import CENTERPOINT_TASKS, NUSCENES_CLASSES

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
NAMES = {
    'centerpoint_pillar02_nus': 'centerpoint_pillar02_second_secfpn_8xb4-cyclic-20e_nus-3d',
    'centerpoint_voxel01_nus': 'centerpoint_voxel01_second_secfpn_8xb4-cyclic-20e_nus-3d',
}


def ours(name):
    return Config.fromfile(CONFIGS / 'teachers' / f'{name}.py')


def published(name):
    import mmdet3d

    return Config.fromfile(Path(mmdet3d.__file__).parent / '.mim/configs/centerpoint' / f'{NAMES[name]}.py')


@pytest.mark.parametrize('name', NAMES)
def test_the_published_models_are_mmdet3ds(name):
    model, theirs = ours(name).model, published(name).model
    for part in ('pts_middle_encoder', 'pts_backbone', 'pts_neck'):
        assert model[part] == theirs[part]
    encoder = dict(theirs.pts_voxel_encoder)
    assert {key: model.pts_voxel_encoder[key] for key in encoder} == {
        key: list(value) if isinstance(value, tuple) else value for key, value in encoder.items()
    }
    # Keys that mmdet3d's head does not read are left out.
    for key, value in theirs.pts_bbox_head.items():
        if key not in ('type', 'bbox_coder'):
            assert model.pts_bbox_head[key] == value, key
    assert model.pts_bbox_head.bbox_coder == theirs.pts_bbox_head.bbox_coder
    assert model.train_cfg.pts == theirs.train_cfg.pts
    assert model.test_cfg.pts == {key: theirs.test_cfg.pts[key] for key in model.test_cfg.pts}
    layer = theirs.data_preprocessor.voxel_layer
    assert model.data_preprocessor.voxel_layer == layer


@pytest.mark.parametrize('name', NAMES)
def test_the_schedule_is_mmdet3ds(name):
    config, theirs = ours(name), published(name)
    assert config.param_scheduler == theirs.param_scheduler
    assert config.optim_wrapper == theirs.optim_wrapper
    assert config.train_cfg.max_epochs == theirs.train_cfg.max_epochs == 20
    assert config.auto_scale_lr == theirs.auto_scale_lr
    assert config.train_dataloader.batch_size == theirs.train_dataloader.batch_size


@pytest.mark.parametrize('name', [*NAMES, 'centerpoint_tiny_nus'])
def test_classes_of_data_and_head_have_one_order(name):
    config = ours(name)
    tasks = [task['class_names'] for task in config.model.pts_bbox_head.tasks]
    assert [tuple(task) for task in tasks] == list(CENTERPOINT_TASKS)
    for loader in (config.train_dataloader, config.val_dataloader):
        dataset = loader.dataset.get('dataset', loader.dataset)
        assert tuple(dataset.metainfo.classes) == NUSCENES_CLASSES


@pytest.mark.parametrize('name', [*NAMES, 'centerpoint_tiny_nus'])
def test_the_grid_is_the_same_wherever_it_is_written(name):
    model = ours(name).model
    head, layer, train = model.pts_bbox_head, model.data_preprocessor.voxel_layer, model.train_cfg.pts
    assert layer.voxel_size == train.voxel_size
    assert layer.point_cloud_range == train.point_cloud_range
    assert head.bbox_coder.out_size_factor == train.out_size_factor
    assert head.bbox_coder.voxel_size == train.voxel_size[:2]
    assert head.bbox_coder.pc_range == train.point_cloud_range[:2]
    cells = [round(102.4 / size) for size in train.voxel_size[:2]]
    assert list(train.grid_size[:2]) == cells
    if 'output_shape' in model.pts_middle_encoder:
        assert list(model.pts_middle_encoder.output_shape) == cells
        assert model.pts_voxel_encoder.voxel_size == layer.voxel_size
        assert model.pts_voxel_encoder.point_cloud_range == layer.point_cloud_range


@pytest.mark.slow
def test_the_small_teacher_trains_and_is_evaluated(tiny_nuscenes, tmp_path):
    config = ours('centerpoint_tiny_nus')
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(tiny_nuscenes)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        evaluator.data_root = str(tiny_nuscenes)
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.work_dir, config.experiment_name = str(tmp_path), tmp_path.name
    runner = launch.build_runner(config)
    before = {key: value.clone() for key, value in runner.model.state_dict().items()}
    after = runner.train().state_dict()
    changed = {key.split('.')[0] for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed == {'pts_voxel_encoder', 'pts_backbone', 'pts_neck', 'pts_bbox_head'}
    assert all(value.isfinite().all() for value in after.values())
    scores = runner.message_hub.get_scalar('val/NuScenes/mAP').data[0]
    assert len(scores) == 1
