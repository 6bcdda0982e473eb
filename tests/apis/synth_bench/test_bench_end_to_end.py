"""The whole benchmark on a handful of frames and steps."""

from __future__ import annotations

import csv
import io
import json
import pickle

import numpy as np
import pytest
import torch
from bench_worlds import tiny_plan, write_tiny_world
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mono_distill.apis.synth_bench.configs import config_of
from mono_distill.apis.synth_bench.execute import execute
from mono_distill.apis.synth_bench.plan import PRIMARY, Run
from mono_distill.apis.synth_bench.report import summary_table, write_report
from mono_distill.apis.synth_bench.schedule import finished
from mono_distill.evaluation.detections_file import load_detections
from mono_distill.utils.errors import CheckpointError, DataError

# Each kind of run once: taught, dense truth, with unlabelled frames, with pseudo-labels.
ARMS = ('control', 'monoskd_unlabelled', 'pseudo_labels', 'dense_gt')
PLAN = tiny_plan(ARMS)
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    folders = write_tiny_world(tmp_path_factory.mktemp('bench'), PLAN)
    for run in PLAN.runs():
        execute(run, PLAN, folders)
    return folders


def result(folders, arm):
    return finished(Run('tiny', arm, 0), PLAN, folders)


def test_every_run_has_its_result(folders):
    for run in PLAN.runs():
        assert finished(run, PLAN, folders) is not None


def test_a_result_holds_the_validation_curve_and_the_test_scores(folders):
    control = result(folders, 'control')
    assert control['steps'] == 2
    assert [point['step'] for point in control['val']] == [2]
    assert PRIMARY in control['val'][0]
    assert PRIMARY in control['test']
    assert result(folders, 'pseudo')['pseudo_labels']['frames'] == 4


def test_arms_log_the_losses_they_are_about(folders):
    taught, dense = result(folders, 'monoskd_unlabelled')['losses'], result(folders, 'dense_gt')['losses']
    assert {'kd_spearman', 'kd_affinity', 'kd_response'} <= set(taught)
    assert dense['kd_response'] > 0
    assert not any('kd' in name for name in result(folders, 'control')['losses'])


def test_weights_of_a_distillation_load_into_the_plain_student(folders):
    weights = torch.load(folders.checkpoint(Run('tiny', 'monoskd_unlabelled', 0)), weights_only=True)['state_dict']
    plain = torch.load(folders.checkpoint(Run('tiny', 'control', 0)), weights_only=True)['state_dict']
    assert {key for key in weights if not key.startswith('distill.')} == set(plain)


def test_detections_of_all_test_frames_are_kept(folders):
    found = load_detections(folders.run(Run('tiny', 'control', 0)) / 'test.npz')
    assert len(found) == PLAN.worlds['main'].test_frames


def test_pseudo_labels_are_those_of_the_unlabelled_frames(folders):
    root = folders.data('main') / 'train'
    names = [entry['sample_id'] for entry in load(root / 'kitti_infos_train.pkl')]
    labelled = [entry['sample_id'] for entry in load(root / 'kitti_infos_pseudo_tiny.pkl')]
    assert labelled == names[4:8]


def load(path):
    return pickle.loads(path.read_bytes())['data_list']


def test_paired_arms_see_the_same_samples_in_the_same_order(folders):
    init_default_scope('mmdet3d')
    seen = {}
    for arm in ('control', 'dense_gt'):
        loader = Runner.build_dataloader(config_of(Run('tiny', arm, 0), PLAN, folders).train_dataloader, seed=0)
        loader.generator = torch.Generator().manual_seed(0)
        loader.dataset.dataset.set_seed(0)
        loader.dataset.dataset.set_epoch(0)
        batches = list(loader)
        names = [[sample.sample_id for sample in batch['data_samples']] for batch in batches]
        flips = [[sample.flip for sample in batch['data_samples']] for batch in batches]
        seen[arm] = names, flips, [image for batch in batches for image in batch['inputs']['img']]
    for one, two in zip(*seen.values(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_the_same_run_again_gives_the_same_weights(folders, tmp_path):
    run = Run('tiny', 'control', 0)
    before = torch.load(folders.checkpoint(run), weights_only=True)['state_dict']
    execute(run, PLAN, folders)
    after = torch.load(folders.checkpoint(run), weights_only=True)['state_dict']
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_report_has_a_row_for_every_arm_with_its_control(folders, tmp_path):
    write_report(PLAN.runs(), PLAN, folders, tmp_path)
    content = json.loads((tmp_path / 'results.json').read_text())
    rows = {row['arm']: row for row in content['rows']}
    assert set(rows) == {'base', 'teacher', *ARMS}
    assert list(rows['dense_gt']['gain']) == ['control']
    assert list(rows['monoskd_unlabelled']['gain']) == ['control', 'pseudo_labels']
    assert rows['control']['gain'] == {}
    assert (tmp_path / 'summary.md').read_text() == summary_table(content)
    lines = list(csv.DictReader(io.StringIO((tmp_path / 'runs.csv').read_text())))
    assert {line['arm'] for line in lines} == {'base', 'teacher', 'pseudo', *ARMS}


def test_a_run_without_its_base_is_refused(folders):
    with pytest.raises(CheckpointError, match='tiny/base/1, which is not finished'):
        execute(Run('tiny', 'control', 1), PLAN, folders)


def test_detections_that_are_not_those_of_the_result_are_noticed(folders, tmp_path):
    run = Run('tiny', 'control', 0)
    text = folders.result(run).read_text()
    changed = json.loads(text)
    changed['test'][PRIMARY] += 1
    folders.result(run).write_text(json.dumps(changed))
    try:
        with pytest.raises(DataError, match='belong to another evaluation'):
            write_report(PLAN.runs(), PLAN, folders, tmp_path)
    finally:
        folders.result(run).write_text(text)


def test_nothing_finished_is_an_error(tmp_path, folders):
    with pytest.raises(DataError, match='holds no finished run'):
        write_report([Run('tiny', 'control', 7)], PLAN, folders, tmp_path)
