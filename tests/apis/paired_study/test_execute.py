"""A whole study by the command, on two made-up frames."""

from __future__ import annotations

import json

import pytest
import torch
from tiny_kitti import write_prepared_kitti

from mono_distill.apis.paired_study.execute import execute, make_data
from mono_distill.apis.paired_study.study import Study
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.cli.main import main
from mono_distill.utils.errors import CheckpointError, DataError

TEXT = """
title = 'MonoSKD in one step'
metrics = {'3D@0.5': 'KITTI/Car_3D_AP40_moderate_loose'}
seeds = 1
options = {
    **{
        f'{loader}_dataloader.{key}': value
        for loader in ('train', 'val', 'test')
        for key, value in {'num_workers': 0, 'persistent_workers': False, 'batch_size': 2}.items()
    },
    'train_dataloader.dataset.times': 1,
    'train_dataloader.dataset.dataset.data_root': 'ROOT',
    'test_dataloader.dataset.data_root': 'ROOT',
    'test_evaluator.ann_file': 'ROOT/kitti_infos_trainval.pkl',
    'train_cfg.max_epochs': 1,
}
trainings = dict(
    teacher=dict(title='teacher', config='mono_distill::teachers/monodle_depth_tiny_kitti.py', shared=True),
    base=dict(title='base', config='mono_distill::students/monodle_tiny_kitti.py'),
    control=dict(title='control', config='mono_distill::students/monodle_tiny_kitti.py', start='base'),
    taught=dict(
        title='taught',
        config='mono_distill::monoskd_tiny_kitti.py',
        start='base',
        teachers=dict(depth='teacher'),
        losses=['response'],
        against=['control'],
    ),
)
"""


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp('study')
    root = write_prepared_kitti(folder / 'kitti')
    (folder / 'little.py').write_text(TEXT.replace('ROOT', str(root)))
    call = ['bench', 'study', str(folder / 'little.py'), '--work', str(folder / 'work'), '--out', str(folder / 'table')]
    assert main([*call, '--workers', '1']) == 0
    return folder


@pytest.mark.slow
def test_the_command_trains_everything_and_writes_the_table(work):
    table = (work / 'table.md').read_text()
    assert [line.split('|')[1].strip() for line in table.splitlines() if line.startswith('| ')][1:] == [
        'teacher',
        'base',
        'control',
        'taught',
    ]


@pytest.mark.slow
def test_arms_start_from_the_weights_of_their_base(work):
    study, folders = Study.load(work / 'little.py'), Folders(work / 'work')
    names = {arm: torch.load(folders.checkpoint(Run('little', arm, 0)), weights_only=True) for arm in study.trainings}
    control, taught = names['control']['state_dict'], names['taught']['state_dict']
    assert {key for key in taught if not key.startswith('distill.')} == set(control)
    result = json.loads(folders.result(Run('little', 'taught', 0)).read_text())
    assert result['scalars']['kd_response'] > 0
    assert 'kd_spearman' not in result['scalars']


@pytest.mark.slow
def test_a_second_call_trains_nothing(work, capsys):
    call = ['bench', 'study', str(work / 'little.py'), '--work', str(work / 'work')]
    assert main([*call, '--workers', '1']) == 0
    assert '4 of 4 runs are finished' in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_without_its_start_is_refused(work):
    study = Study.load(work / 'little.py')
    with pytest.raises(CheckpointError, match='starts from little/base/1, which is not finished'):
        execute(Run('little', 'control', 1), study, Folders(work / 'work'))


@pytest.mark.slow
def test_a_start_of_another_state_of_the_file_is_refused(work, tmp_path):
    text = (work / 'little.py').read_text()
    (tmp_path / 'little.py').write_text(text.replace("'train_cfg.max_epochs': 1", "'train_cfg.max_epochs': 2"))
    with pytest.raises(CheckpointError, match='starts from little/base/0, which is not finished'):
        execute(Run('little', 'control', 0), Study.load(tmp_path / 'little.py'), Folders(work / 'work'))


def test_a_wrong_arm_is_named_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / 'little.py').write_text(TEXT.replace("losses=['response']", "losses=['respond']"))
    call = ['bench', 'study', str(tmp_path / 'little.py'), '--work', str(tmp_path / 'work'), '--workers', '1']
    assert main(call) == 2
    assert "no 'respond'; did you mean 'response'" in capsys.readouterr().err
    assert not (tmp_path / 'work' / 'runs').exists()


def data_study(tmp_path, *commands):
    path = tmp_path / 'data_only.py'
    path.write_text(
        f"title='t'\nmetrics={{'a': 'b'}}\ndata={list(commands)!r}\ntrainings=dict(a=dict(title='a', config='a.py'))"
    )
    return Study.load(path)


def test_data_is_made_once(tmp_path):
    said = []
    study = data_study(tmp_path, 'doctor')
    for _ in range(2):
        make_data(study, Folders(tmp_path), say=said.append)
    assert said == ['mono-distill doctor']


def test_the_work_folder_may_have_a_space(tmp_path):
    work = tmp_path / 'a b'
    work.mkdir()
    with pytest.raises(DataError, match="--root '.*a b/nowhere' failed with status"):
        make_data(data_study(tmp_path, 'prepare kitti --root {work}/nowhere'), Folders(work), say=str)


def test_data_of_another_study_is_not_taken(tmp_path):
    make_data(data_study(tmp_path, 'doctor'), Folders(tmp_path), say=str)
    with pytest.raises(DataError, match='holds data made by'):
        make_data(data_study(tmp_path, 'doctor --help'), Folders(tmp_path), say=str)


def test_a_command_that_fails_stops_the_study(tmp_path):
    with pytest.raises(DataError, match='prepare kitti --root .*nowhere failed with status'):
        make_data(data_study(tmp_path, 'prepare kitti --root {work}/nowhere'), Folders(tmp_path), say=str)
