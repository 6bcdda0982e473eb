from pathlib import Path

import pytest
from tiny_kitti import write_prepared_kitti

from mono_distill.apis import stages
from mono_distill.cli.long_runs import INTERRUPTED
from mono_distill.cli.main import main

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
MONOTAKD = CONFIGS / 'monotakd_tiny_kitti.py'
TRAININGS = ['pointpillars_tiny_bev_kitti', 'caddn_tiny_kitti', 'caddn_tiny_lidar_kitti', 'monotakd_tiny_kitti']
SHORT = [
    '--all-options',
    'train_cfg.max_epochs=1',
    'train_cfg.val_begin=2',
    'train_dataloader.dataset.times=1',
    'train_dataloader.batch_size=2',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
]


def test_a_dry_run_says_what_would_be_trained(tmp_path, capsys):
    assert main(['stages', str(MONOTAKD), '--work-dir', str(tmp_path), '--dry-run']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line.split()[-1]).name for line in lines] == TRAININGS
    assert all(line.startswith('missing') for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_a_weak_teacher_is_refused_unless_told(tmp_path, monkeypatch):
    prepared = []
    monkeypatch.setattr(stages, 'run_stages', lambda trainings, prepare, say: prepared.append((trainings, prepare)))
    for options in ([], ['--allow-weak-teachers']):
        config = str(CONFIGS / 'monotakd_kitti.py')
        assert main(['stages', config, '--work-dir', str(tmp_path), *options]) == 0
    actions = []
    for trainings, prepare in prepared:
        config = trainings[-1].config()
        prepare(config)
        (hook,) = (hook for hook in config.custom_hooks if hook.type.endswith('TeacherCheckHook'))
        actions.append(hook.get('on_failure', 'raise'))
    assert actions == ['raise', 'warn']


def test_an_interrupt_names_the_command_that_goes_on(tmp_path, capsys, monkeypatch):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, 'run_stages', interrupted)
    command = ['stages', str(MONOTAKD), '--work-dir', str(tmp_path), '--control', '--all-options', 'randomness.seed=1']
    assert main(command) == INTERRUPTED
    assert f'mono-distill {" ".join(command)}' in capsys.readouterr().out


def test_a_config_that_does_not_exist_is_one_line(capsys):
    assert main(['stages', 'nowhere.py']) == 2
    assert "config 'nowhere.py' does not exist" in capsys.readouterr().err


@pytest.mark.slow
def test_teacher_assistant_student_and_distillation_in_one_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('KITTI_ROOT', str(write_prepared_kitti(tmp_path / 'kitti')))
    command = ['stages', str(MONOTAKD), '--work-dir', str(tmp_path / 'out'), *SHORT]
    assert main(command) == 0
    assert all((tmp_path / 'out' / name / 'epoch_1.pth').is_file() for name in TRAININGS)
    log = next((tmp_path / 'out' / TRAININGS[-1]).rglob('*.log')).read_text()
    for teacher, folder in (('lidar', TRAININGS[0]), ('assistant', TRAININGS[1])):
        assert f'teacher {teacher}: ' in log
        assert f'{folder}/epoch_1.pth' in log
    assert all(f'loss_kd_{name}' in log for name in ('imd', 'cmrd', 'response'))
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out.count('done before') == len(TRAININGS)
