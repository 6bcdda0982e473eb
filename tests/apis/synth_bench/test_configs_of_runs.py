from __future__ import annotations

import pytest
import torch
from bench_worlds import ALL_ARMS, tiny_plan
from mmengine.registry import MODELS, init_default_scope

from mono_distill.apis.check_config import check_config
from mono_distill.apis.synth_bench.configs import Folders, config_of
from mono_distill.apis.synth_bench.plan import BASE, PSEUDO, TAUGHT, TEACHER, Run
from mono_distill.utils.errors import ConfigError

PLAN = tiny_plan()


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path)


def config(arm, folders, seed=0):
    return config_of(Run('tiny', arm, seed), PLAN, folders)


def shared(config):
    """Everything but the model's losses and what belongs to a teacher; file names are those of the run."""
    parts = config.to_dict()
    student = parts['model'].get('student', parts['model'])
    kept = (
        'optim_wrapper',
        'param_scheduler',
        'train_cfg',
        'train_dataloader',
        'load_from',
        'randomness',
        'default_hooks',
    )
    return {**{key: parts[key] for key in kept}, 'student': student}


@pytest.mark.parametrize('arm', [TEACHER, BASE, *ALL_ARMS])
def test_every_config_has_only_options_that_exist_and_builds(arm, folders):
    made = config(arm, folders)
    assert check_config(made) > 10
    init_default_scope('mmdet3d')
    model = MODELS.build(made.model)
    assert sum(parameter.numel() for parameter in model.parameters()) > 1e5


@pytest.mark.parametrize(
    'arm', ['monoskd', 'monoskd_rank', 'features', 'response', 'dense_gt', 'dense_features', 'monoskd_backbone']
)
def test_an_arm_differs_from_its_control_in_losses_only(arm, folders):
    assert shared(config(arm, folders)) == shared(config('control', folders))


@pytest.mark.parametrize('arm', ['monoskd_unlabelled', 'pseudo_labels', 'monoskd_pseudo', 'all_labels'])
def test_an_arm_with_other_frames_has_the_same_budget(arm, folders):
    ours, control = shared(config(arm, folders)), shared(config('control', folders))
    for part in ('train_dataloader', 'default_hooks'):
        del ours[part], control[part]
    assert ours == control


def test_arms_of_a_seed_start_from_the_same_base_and_of_another_from_another(folders):
    starts = {arm: config(arm, folders).load_from for arm in ALL_ARMS}
    assert len(set(starts.values())) == 1
    assert config('control', folders, seed=1).load_from not in starts.values()


def test_the_losses_of_each_arm(folders):
    losses = {arm: sorted(config(arm, folders).model.get('losses', {})) for arm in ALL_ARMS}
    assert losses['control'] == losses['pseudo_labels'] == losses['all_labels'] == []
    assert losses['features'] == ['affinity', 'spearman']
    assert losses['response'] == losses['dense_gt'] == ['response']
    for arm in ('monoskd', 'monoskd_rank', 'dense_features'):
        assert losses[arm] == ['affinity', 'response', 'spearman']


def test_ranks_and_taps_of_the_arms_that_are_about_them(folders):
    assert config('monoskd', folders).model.losses.spearman.form == 'released'
    assert config('monoskd_rank', folders).model.losses.spearman.form == 'rank'
    assert config('monoskd_backbone', folders).model.taps.s == 'student:backbone'
    assert config('monoskd', folders).model.taps.s == 'student:neck'


def test_dense_truth_knows_no_teacher(folders):
    assert config('dense_gt', folders).model.teachers == {}
    assert 'dense_gt' not in TAUGHT


def test_features_beside_dense_truth_are_the_teachers(folders):
    model = config('dense_features', folders).model
    assert model.losses.response.inputs.teacher == 'truth'
    assert model.losses.spearman.inputs.teacher == 't'
    assert 't_head' not in model.taps


def test_labels_are_seen_in_the_labelled_frames_alone(folders):
    labelled, unlabelled = config('monoskd_unlabelled', folders).train_dataloader.dataset.datasets
    assert labelled.indices == 4
    assert labelled.get('labelled', True)
    assert unlabelled.indices == [4, 5, 6, 7]
    assert unlabelled.labelled is False
    assert config('control', folders).train_dataloader.dataset.dataset.indices == 4
    assert config(TEACHER, folders).train_dataloader.dataset.dataset.indices == 4


def test_distillation_beside_pseudo_labels_differs_from_them_in_losses_only(folders):
    assert shared(config('monoskd_pseudo', folders)) == shared(config('pseudo_labels', folders))


def test_the_width_is_that_of_the_setting(folders):
    model = config('monoskd', folders).model
    assert model.student.backbone.base_channels == model.teachers.depth.detector.backbone.base_channels == 8
    assert model.adapters.s_adapted.channels == (8, 16, 32, 64)


def test_what_is_no_training_has_no_config(folders):
    with pytest.raises(ConfigError, match='no training'):
        config(PSEUDO, folders)


def test_the_learning_rate_falls_to_the_end_of_the_run(folders):
    made = config('control', folders)
    assert made.param_scheduler[-1].end == made.train_cfg.max_epochs == 1
    assert made.optim_wrapper.optimizer.lr == PLAN.settings['tiny'].arm_lr


def test_students_of_a_seed_are_bit_equal_before_they_part(folders, tmp_path):
    """The base's weights go into a plain student and into a distiller; what both hold is the same."""
    init_default_scope('mmdet3d')
    base = MODELS.build(config(BASE, folders).model)
    state = base.state_dict()
    plain, distiller = (MODELS.build(config(arm, folders).model) for arm in ('control', 'monoskd'))
    for model in (plain, distiller):
        missing = model.load_state_dict(state, strict=False).missing_keys
        assert all('adapters' in key for key in missing)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, distiller.state_dict()[key])
