from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mono_distill.apis.plain_config import build_detector, config_meta, plain_config, read_config
from mono_distill.utils.errors import CheckpointError, ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.fixture(scope='module')
def distillation():
    return Config.fromfile(CONFIGS / 'monoskd_tiny_kitti.py')


def test_of_a_distillation_the_student_and_its_test_remain(distillation):
    plain = plain_config(distillation)
    student = distillation.model.student
    assert plain.model == student
    assert plain.test_dataloader == distillation.test_dataloader
    assert plain.test_evaluator == distillation.test_evaluator
    assert [hook.type for hook in plain.custom_hooks] == ['mono_distill.RandomStateHook', 'mono_distill.StrictLoadHook']
    text = plain.pretty_text
    assert not any(word in text for word in ('teacher', 'Teacher', 'Distiller', 'optim_wrapper', 'load_from', 'taps'))


def test_a_preprocessor_beside_the_student_stays_with_it():
    model = dict(type='CrossModalDistiller', student=dict(type='A'), data_preprocessor=dict(type='B'))
    assert plain_config(Config(dict(model=model))).model == dict(type='A', data_preprocessor=dict(type='B'))


def test_hooks_of_a_training_are_left_out():
    config = Config.fromfile(CONFIGS / 'students' / 'didm3d_tiny_kitti.py')
    config.custom_hooks.append(dict(type='EMAHook'))
    assert any(hook.type == 'mono_distill.HTLHook' for hook in config.custom_hooks)
    kept = [hook.type for hook in plain_config(config).custom_hooks]
    assert kept == ['mono_distill.RandomStateHook', 'mono_distill.StrictLoadHook']


def test_the_given_config_is_not_changed(distillation):
    before = distillation.pretty_text
    plain_config(distillation).model.backbone.depth = 50
    assert distillation.pretty_text == before


def test_weights_to_start_a_training_from_are_left_out():
    model = dict(type='A', backbone=dict(type='B', pretrained='timm', init_cfg=dict(type='Pretrained')), neck=dict())
    assert plain_config(Config(dict(model=model))).model.backbone == dict(type='B', pretrained=None, init_cfg=None)


def test_a_config_without_a_model_is_refused():
    with pytest.raises(ConfigError, match='has no model'):
        plain_config(Config(dict(a=1)))


def test_a_checkpoint_gives_back_the_config_it_carries(distillation, tmp_path):
    plain = plain_config(distillation)
    meta = config_meta(plain)
    assert meta['dataset_meta'] == {'classes': ['Pedestrian', 'Car', 'Cyclist']}
    torch.save({'meta': meta, 'state_dict': {}}, tmp_path / 'x.pth')
    assert read_config(tmp_path / 'x.pth').to_dict() == plain.to_dict()
    assert type(build_detector(read_config(tmp_path / 'x.pth'))).__name__ == 'CenterNetMono3D'


def test_nothing_in_the_config_of_a_checkpoint_is_run(tmp_path):
    victim = tmp_path / 'victim'
    torch.save({'meta': {'cfg': f'model = open({str(victim)!r}, "w")'}}, tmp_path / 'x.pth')
    with pytest.raises(ConfigError, match='no plain value'):
        read_config(tmp_path / 'x.pth')
    assert not victim.exists()


def test_a_checkpoint_without_a_config_says_so(tmp_path):
    torch.save({'state_dict': {}}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='carries no config'):
        read_config(tmp_path / 'x.pth')
