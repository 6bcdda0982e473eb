"""MonoTAKD between BEVDepth, its depth-fed assistant and CenterPoint."""

import copy

import pytest
import torch
from bev_students import CONFIGS
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mono_distill.utils.errors import ConfigError

TINY = CONFIGS / 'monotakd_bevdepth_tiny_nus.py'
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


@pytest.fixture(scope='module')
def sample(tiny_nuscenes):
    """A training sample as the data loader gives it."""
    return training_sample(str(tiny_nuscenes))


def training_sample(root):
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS

    init_default_scope('mmdet3d')
    config = Config.fromfile(TINY)
    config.train_dataloader.dataset.data_root = root
    dataset = DATASETS.build(config.train_dataloader.dataset)
    return pseudo_collate([dataset[0]])


@pytest.fixture(scope='module')
def model():
    init_default_scope('mmdet3d')
    config = Config.fromfile(TINY).model
    for teacher in config.teachers.values():
        teacher.update(checkpoint=None, allow_random=True, config=str(CONFIGS / teacher.config.split('::')[1]))
    torch.manual_seed(0)
    built = MODELS.build(config)
    built.bank.load()
    return built.train()


@pytest.fixture(scope='module')
def losses(model, sample):
    return model(**model.data_preprocessor(copy.deepcopy(sample), True), mode='loss')


def touched(model, loss):
    model.zero_grad()
    loss.backward(retain_graph=True)
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_imd_reaches_the_lifting_alone(model, losses):
    parts = {name.split('.')[1] for name in touched(model, losses['loss_kd_imd'])}
    assert parts == {'img_backbone', 'img_neck', 'view_transformer'}


def test_the_alignment_teaches_the_student_nothing(model, losses):
    parts = touched(model, losses['loss_kd_align'])
    assert parts
    assert all('a_maps' in name for name in parts)


def test_cmrd_reaches_the_student_up_to_its_map_and_no_alignment(model, losses):
    parts = touched(model, losses['loss_kd_cmrd'])
    assert any('bev_neck' in name for name in parts)
    assert not any('pts_bbox_head' in name or 'a_maps' in name for name in parts)


def test_the_residual_is_what_the_aligned_assistant_lacks(model, losses):
    student = model.student.distill_outputs()
    lidar, assistant = (model.bank.teachers[name].model.distill_outputs() for name in ('lidar', 'assistant'))
    adapters = model.graph.adapters
    with torch.no_grad():
        residual = lidar['bev'] - adapters['a_maps'](assistant['bev'])
        expected = (adapters['s_maps'](student['bev']) - residual).square().mean()
    torch.testing.assert_close(losses['kd_cmrd'], expected)
    torch.testing.assert_close(losses['kd_imd'], (student['bev_raw'] - assistant['bev_raw']).square().mean().detach())


def test_the_student_is_taught_by_annotations_too(losses):
    assert {'task0.loss_heatmap', 'loss_depth'} <= set(losses)


def test_the_assistant_sees_the_depth_of_the_scan(model, losses, sample):
    depth = model.bank.teachers['assistant'].model.distill_outputs()['depth']
    known = torch.stack(sample['inputs']['gt_depth']) > 0
    certain = depth.amax(2) == 1
    assert known.any()
    assert certain[known].all()


def test_an_assistant_without_depth_is_refused(model, sample):
    blind = copy.deepcopy(sample)
    del blind['inputs']['gt_depth']
    assistant = model.bank.teachers['assistant']
    prepared = assistant.preprocess(blind)
    with pytest.raises(ConfigError, match='LidarDepthTargets'):
        assistant.run(prepared['inputs'], prepared['data_samples'])


def test_inference_of_the_student_needs_the_pictures_alone(model, sample):
    pictures = copy.deepcopy(sample)
    for key in ('gt_depth', 'points'):
        del pictures['inputs'][key]
    model.eval()
    with torch.no_grad():
        (found,) = model(**model.data_preprocessor(pictures, False), mode='predict')
    model.train()
    assert 'pred_instances_3d' in found


@pytest.mark.parametrize('size', ['tiny', 'r50'])
def test_the_assistant_is_the_student_but_for_its_depth(size):
    student = Config.fromfile(CONFIGS / f'students/bevdepth_{size}_nus.py').model
    assistant = Config.fromfile(CONFIGS / f'assistants/bevdepth_{size}_lidar_nus.py').model
    assert assistant.pop('depth_mode') == 'gt_onehot'
    assert assistant == student


@pytest.mark.parametrize('name', ['monotakd_bevdepth_nus', 'monotakd_bevdepth_tiny_nus'])
def test_adapters_have_the_channels_of_the_maps(name):
    config = Config.fromfile(CONFIGS / f'{name}.py').model
    lidar = Config.fromfile(CONFIGS / config.teachers.lidar.config.split('::')[1]).model
    for adapter in config.adapters.values():
        assert list(adapter.channels) == [sum(config.student.bev_neck.out_channels)]
        assert list(adapter.out_channels) == [sum(lidar.pts_neck.out_channels)]


@pytest.mark.parametrize('name', ['monotakd_bevdepth_nus', 'monotakd_bevdepth_tiny_nus'])
def test_the_validation_frames_show_teacher_and_assistant_what_they_need(name):
    steps = [
        step.type.split('.')[-1] for step in Config.fromfile(CONFIGS / f'{name}.py').val_dataloader.dataset.pipeline
    ]
    assert steps.index('LoadLidarSweeps') < steps.index('LidarDepthTargets') < steps.index('PackBEVInputs')
