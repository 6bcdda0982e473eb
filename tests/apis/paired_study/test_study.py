from __future__ import annotations

import pytest

from mono_distill.apis.paired_study.study import Study, Training
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.utils.errors import ConfigError

TEXT = """
title = 'three arms'
metrics = {'AP': 'KITTI/AP'}
seeds = 2
_same = dict(start='base', against=['control'])
trainings = dict(
    teacher=dict(title='teacher', config='teacher.py', shared=True),
    base=dict(title='base', config='student.py'),
    control=dict(title='control', config='student.py', start='base'),
    taught=dict(_same, title='taught', config='distill.py', teachers=dict(lidar='teacher'), losses=['feature']),
)
"""


def written(folder, text=TEXT):
    path = folder / 'three.py'
    path.write_text(text)
    return path


@pytest.fixture
def study(tmp_path):
    return Study.load(written(tmp_path))


def test_a_file_is_read_and_names_its_study(study):
    assert (study.name, study.title, study.seeds) == ('three', 'three arms', 2)
    assert study.trainings['taught'].losses == ('feature',)
    assert study.trainings['taught'].against == ('control',)


def test_a_run_stands_behind_those_it_needs(study):
    runs = study.runs()
    for place, run in enumerate(runs):
        assert all(runs.index(other) < place for other in study.needs(run))


def test_a_shared_teacher_is_trained_once(study):
    assert [run.id for run in study.runs() if run.arm == 'teacher'] == ['three/teacher/0']
    assert study.needs(Run('three', 'taught', 1)) == [Run('three', 'base', 1), Run('three', 'teacher', 0)]


def test_chosen_trainings_bring_what_they_need(study):
    assert {run.arm for run in study.runs(['taught'])} == {'teacher', 'base', 'taught'}


def test_seeds_can_be_fewer(study):
    assert {run.seed for run in study.runs(seeds=1)} == {0}


@pytest.mark.parametrize(
    ('old', 'new', 'stale'),
    [
        ("title='taught'", "title='other words'", []),
        ("losses=['feature']", "losses=['response']", ['taught']),
        ("title='teacher', config='teacher.py'", "title='teacher', config='teacher2.py'", ['teacher', 'taught']),
        ('seeds = 2', 'seeds = 2\noptions = {"a": 1}', ['teacher', 'base', 'control', 'taught']),
    ],
)
def test_a_change_makes_stale_what_depends_on_it(study, tmp_path, old, new, stale):
    changed = Study.load(written(tmp_path, TEXT.replace(old, new)))
    runs = study.runs(seeds=1)
    assert [run.arm for run in runs if study.fingerprint(run) != changed.fingerprint(run)] == stale


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("start='base'", "start='bass'", "starts from 'bass', which does not stand before it; did you mean 'base'"),
        ("against=['control']", "against=['cntrol']", "compared with 'cntrol'; did you mean 'control'"),
        ('seeds = 2', 'seedz = 2', "three.py: there is no 'seedz'; did you mean 'seeds'"),
        ('shared=True', 'shard=True', "trainings.teacher: there is no 'shard'; did you mean 'shared'"),
        ("title='base', ", '', 'trainings.base: title must be given'),
        ("losses=['feature']", "losses='feature'", "trainings.taught: losses must be of type list, got 'feature'"),
        ("teachers=dict(lidar='teacher')", "teachers='teacher'", "teachers must be of type dict, got 'teacher'"),
        ('seeds = 2', "seeds = '2'", "three.py: seeds must be of type int, got '2'"),
        ("losses=['feature']", "losses=['feature'], plain=True", 'taught: a plain student has no losses'),
        ('seeds = 2', "compared = ['APP']", "compared: no metric 'APP'; did you mean 'AP'"),
        ("metrics = {'AP': 'KITTI/AP'}", 'metrics = {}', 'needs metrics and trainings'),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, old, new, message):
    with pytest.raises(ConfigError, match=message):
        Study.load(written(tmp_path, TEXT.replace(old, new)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r'nowhere\.py does not exist'):
        Study.load(tmp_path / 'nowhere.py')


def test_unknown_trainings_are_named(study):
    with pytest.raises(ConfigError, match="no training 'tought'; did you mean 'taught'"):
        study.runs(['tought'])
    with pytest.raises(ConfigError, match='has no run three/tought/0'):
        study.needs(Run('three', 'tought', 0))


def test_a_training_needs_its_start_and_its_teachers():
    assert Training('title', 'config.py', start='base', teachers={'lidar': 'one', 'assistant': 'two'}).needs == [
        'base',
        'one',
        'two',
    ]
