from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from mono_distill.apis.paired_study.configs import config_of, keep_losses
from mono_distill.apis.paired_study.study import Study, Training
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.utils.errors import ConfigError

STUDIES = sorted((Path(__file__).parents[3] / 'benchmarks' / 'studies').glob('*.py'))
DISTILL = 'mono_distill::monotakd_tiny_kitti.py'


def one_arm(**training):
    arms = {
        'teacher': Training('t', 'mono_distill::teachers/pointpillars_tiny_bev_kitti.py', shared=True),
        'assistant': Training('a', 'mono_distill::assistants/caddn_tiny_lidar_kitti.py', shared=True),
        'base': Training('b', 'mono_distill::students/caddn_tiny_kitti.py'),
        'arm': Training('x', **{'config': DISTILL, 'start': 'base', **training}),
    }
    return Study('one', 'one', {'AP': 'KITTI/AP'}, arms)


def config(study, work=Path('work')):
    return config_of(Run('one', 'arm', 2), study, Folders(work))


BOTH = {'lidar': 'teacher', 'assistant': 'assistant'}


@pytest.mark.parametrize('path', STUDIES, ids=[path.stem for path in STUDIES])
def test_every_run_of_a_shipped_study_has_a_config(path, tmp_path):
    study = Study.load(path)
    for run in study.runs(seeds=1):
        found = config_of(run, study, Folders(tmp_path))
        assert '{work}' not in found.pretty_text
        assert str(tmp_path) in found.test_dataloader.dataset.data_root


def test_weights_come_from_the_runs_of_the_study():
    found = config(one_arm(teachers=BOTH))
    assert found.load_from == 'work/runs/one/base/2/weights.pth'
    assert found.model.teachers.lidar.checkpoint == 'work/runs/one/teacher/0/weights.pth'
    assert found.model.teachers.assistant.checkpoint == 'work/runs/one/assistant/0/weights.pth'
    assert found.randomness.seed == 2


def test_the_check_of_teachers_and_the_validation_are_left_out():
    found = config(one_arm(teachers=BOTH))
    kinds = [hook.type for hook in found.custom_hooks]
    assert 'mono_distill.DistillScheduleHook' in kinds
    assert 'mono_distill.TeacherCheckHook' not in kinds
    assert found.val_dataloader is None


def test_a_single_loss_brings_only_what_feeds_it():
    model = config(one_arm(teachers={'lidar': 'teacher'}, losses=('response',))).model
    assert list(model.losses) == ['response']
    assert set(model.taps) == {'s_head', 't_head'}
    assert list(model.teachers) == ['lidar']
    assert not model.targets


def test_a_kept_loss_keeps_targets_behind_targets():
    model = Config(
        dict(
            taps=dict(heads='lidar:heads', bev='student:bev', other='student:neck'),
            targets=dict(
                objects=dict(inputs='data_samples'),
                quality=dict(inputs=dict(objects='objects[boxes]', heads='heads')),
                unused=dict(inputs=['other']),
            ),
            losses=dict(rd=dict(inputs=dict(student='bev', quality='quality')), cd=dict(inputs=['other'])),
        )
    )
    keep_losses(model, ['rd'])
    assert (list(model.taps), list(model.targets)) == (['heads', 'bev'], ['objects', 'quality'])


def test_a_plain_arm_is_the_student_with_the_data_of_the_distillation():
    labels = {'model.student.supervised': True}
    taught, plain = config(one_arm(teachers=BOTH)), config(one_arm(plain=True, options=labels))
    assert plain.model.type == 'mono_distill.CaDDNBEV'
    assert plain.train_dataloader == taught.train_dataloader
    assert not any('Distill' in hook.type or 'Check' in hook.type for hook in plain.custom_hooks)


def test_options_replace_and_know_the_work_folder():
    study = one_arm(teachers=BOTH, options={'test_dataloader.dataset.data_root': '{work}/data'})
    assert config(study, Path('here')).test_dataloader.dataset.data_root == 'here/data'


def test_a_teacher_without_a_training_is_refused():
    with pytest.raises(ConfigError, match=r"its teachers \['assistant'\] have no training in this study"):
        config(one_arm(teachers={'lidar': 'teacher'}))


def test_a_plain_student_that_sees_no_labels_is_refused():
    with pytest.raises(ConfigError, match='has nothing to learn from'):
        config(one_arm(plain=True))


def test_losses_of_a_config_without_a_distiller_are_refused():
    with pytest.raises(ConfigError, match='students/caddn_tiny_kitti.py is no distillation'):
        config(one_arm(config='mono_distill::students/caddn_tiny_kitti.py', losses=('imd',)))


def test_a_teacher_that_no_kept_loss_needs_is_named():
    with pytest.raises(ConfigError, match="no teacher 'assistant', or none of the kept losses needs it"):
        config(one_arm(teachers=BOTH, losses=('response',)))


def test_unknown_losses_and_teachers_are_named():
    with pytest.raises(ConfigError, match=r"model.losses has no 'cmdr'; did you mean 'cmrd'"):
        config(one_arm(teachers=BOTH, losses=('cmdr',)))
    with pytest.raises(ConfigError, match="no teacher 'lida', .*; did you mean 'lidar'"):
        config(one_arm(teachers={'lida': 'teacher'}))
