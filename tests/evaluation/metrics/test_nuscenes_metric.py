"""From the data set to the score: annotations as predictions, and what can be wrong with predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from gloo import run_ranks
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from nuscenes_rank import evaluate_half, truth_samples, validation_samples

from mono_distill.datasets.nuscenes.classes import NUSCENES_CLASSES
from mono_distill.evaluation.metrics import NuScenesDetectionMetric
from mono_distill.evaluation.nuscenes_boxes import ATTRIBUTES, result_entries
from mono_distill.evaluation.nuscenes_eval import load_nuscenes
from mono_distill.registry import METRICS
from mono_distill.utils.errors import ConfigError, DataError

META = dict(classes=NUSCENES_CLASSES, version='v1.0-mini')


@pytest.fixture(scope='module')
def samples(tiny_nuscenes):
    """The validation scene through the data set and its pipeline, annotated."""
    return validation_samples(tiny_nuscenes)


def metric_of(root, meta=META, **options):
    metric = NuScenesDetectionMetric(str(root), **options)
    metric.dataset_meta = meta
    return metric


def with_predictions(samples, change=lambda instances: instances):
    predicted = truth_samples(samples)
    for sample in predicted:
        sample.pred_instances_3d = change(sample.pred_instances_3d)
    return predicted


def evaluate(metric, predicted):
    for sample in predicted:
        metric.process(None, [sample.to_dict()])
    return metric.evaluate(len(predicted))


def attributes_of_annotations(root, predicted):
    """Give every box the attribute of the annotation at its place: a speed does not tell stopped from parked."""
    nusc = load_nuscenes('v1.0-mini', root)
    for sample in predicted:
        rows = [nusc.get('sample_annotation', each) for each in nusc.get('sample', sample.token)['anns']]
        centres = np.array([row['translation'] for row in rows])
        instances = sample.pred_instances_3d
        labels = []
        for i in range(len(instances)):
            (entry,) = result_entries({**sample.to_dict(), 'pred_instances_3d': instances[i]}, NUSCENES_CLASSES) or [{}]
            row = rows[np.linalg.norm(centres - entry['translation'], axis=1).argmin()] if entry else rows[0]
            names = [nusc.get('attribute', each)['name'] for each in row['attribute_tokens']]
            labels.append(ATTRIBUTES.index(names[0] if names else ''))
        instances.attr_labels = torch.tensor(labels)
    return predicted


def test_ground_truth_as_prediction_gets_full_marks(tiny_nuscenes, samples):
    scores = evaluate(metric_of(tiny_nuscenes), attributes_of_annotations(tiny_nuscenes, with_predictions(samples)))
    assert scores['NuScenes/mAP'] == pytest.approx(1)
    assert scores['NuScenes/NDS'] == pytest.approx(1, abs=1e-4)
    for error in ('mATE', 'mASE', 'mAOE', 'mAVE', 'mAAE'):
        assert scores[f'NuScenes/{error}'] == pytest.approx(0, abs=1e-4)


def test_attributes_from_the_speed_cost_only_the_attribute_error(tiny_nuscenes, samples):
    scores = evaluate(metric_of(tiny_nuscenes), with_predictions(samples))
    assert scores['NuScenes/mAP'] == pytest.approx(1)
    assert scores['NuScenes/NDS'] == pytest.approx(1 - scores['NuScenes/mAAE'] / 10, abs=1e-4)
    assert scores['NuScenes/mAAE'] < 0.5


def test_boxes_with_swapped_sides_are_found_but_of_the_wrong_shape(tiny_nuscenes, samples):
    """The mark of boxes read with the convention of another version of mmdet3d."""

    def swapped(instances):
        instances.bboxes_3d.tensor[:, 3:5] = instances.bboxes_3d.tensor[:, [4, 3]]
        return instances

    scores = evaluate(metric_of(tiny_nuscenes), with_predictions(samples, swapped))
    assert scores['NuScenes/mAP'] == pytest.approx(1)
    assert scores['NuScenes/mASE'] > 0.2


def test_nothing_predicted_scores_nothing(tiny_nuscenes, samples):
    scores = evaluate(metric_of(tiny_nuscenes), with_predictions(samples, lambda instances: instances[:0]))
    assert scores['NuScenes/mAP'] == scores['NuScenes/NDS'] == 0


def test_a_sample_that_a_sampler_repeats_counts_once(tiny_nuscenes, samples):
    predicted = with_predictions(samples)
    once = evaluate(metric_of(tiny_nuscenes), predicted)
    metric = metric_of(tiny_nuscenes)
    assert evaluate(metric, [*predicted, predicted[0]]) == once


def test_the_order_of_the_samples_does_not_matter(tiny_nuscenes, samples):
    predicted = with_predictions(samples)
    scores = evaluate(metric_of(tiny_nuscenes), predicted[::-1])
    assert scores == pytest.approx(evaluate(metric_of(tiny_nuscenes), predicted), abs=1e-5)


def test_the_evaluator_of_mmengine_runs_it(tiny_nuscenes, samples):
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        evaluator = Evaluator([dict(type='mono_distill.NuScenesDetectionMetric', data_root=str(tiny_nuscenes))])
    evaluator.dataset_meta = META
    evaluator.process(with_predictions(samples))
    assert evaluator.evaluate(len(samples))['NuScenes/mAP'] == pytest.approx(1)


@pytest.mark.slow
def test_two_processes_score_as_one(tiny_nuscenes, samples, tmp_path):
    run_ranks(evaluate_half, tmp_path, str(tmp_path), str(tiny_nuscenes))
    expected = evaluate(metric_of(tiny_nuscenes), with_predictions(samples))
    for rank in range(2):
        assert json.loads((tmp_path / f'scores{rank}.json').read_text()) == expected


def test_a_submission_is_written_and_nothing_computed(tiny_nuscenes, samples, tmp_path):
    metric = metric_of(tiny_nuscenes, format_only=True, jsonfile_prefix=tmp_path / 'out', sensors=['lidar'])
    assert evaluate(metric, with_predictions(samples)) == {}
    content = json.loads((tmp_path / 'out' / 'results_nusc.json').read_text())
    assert set(content['results']) == {sample.token for sample in samples}
    assert content['meta']['use_lidar']
    assert not content['meta']['use_camera']


def test_the_version_of_the_metric_goes_before_that_of_the_data_set(tiny_nuscenes, samples):
    metric = metric_of(tiny_nuscenes, dict(META, version='v1.0-trainval'), version='v1.0-mini')
    assert evaluate(metric, with_predictions(samples))['NuScenes/mAP'] == pytest.approx(1)


def test_a_part_of_the_split_is_refused_with_the_names_of_its_scenes(tiny_nuscenes, samples):
    with pytest.raises(DataError, match=r'Missing: 1 \(1 of scene-0103\)'):
        evaluate(metric_of(tiny_nuscenes), with_predictions(samples)[1:])


def test_samples_without_their_frame_are_refused(tiny_nuscenes, samples):
    sample = with_predictions(samples)[0].to_dict()
    del sample['lidar2ego']
    with pytest.raises(DataError, match=f'sample {sample["token"]} lacks lidar2ego; .*PackBEVInputs'):
        metric_of(tiny_nuscenes).process(None, [sample])


def test_an_augmented_world_is_refused(tiny_nuscenes, samples):
    sample = with_predictions(samples)[0].to_dict()
    sample['lidar_aug_matrix'] = np.diag([-1.0, 1, 1, 1])
    with pytest.raises(DataError, match='turned, scaled or mirrored.*BEVGlobalAug'):
        metric_of(tiny_nuscenes).process(None, [sample])


def test_incomplete_options_are_refused(tiny_nuscenes, samples):
    with pytest.raises(ConfigError, match='jsonfile_prefix'):
        NuScenesDetectionMetric('x', format_only=True)
    with pytest.raises(ConfigError, match="no 'classes'"):
        metric_of(tiny_nuscenes, {}).process(None, [])
    with pytest.raises(ConfigError, match="no 'version'.*version="):
        evaluate(metric_of(tiny_nuscenes, dict(classes=NUSCENES_CLASSES)), with_predictions(samples))


def test_it_is_registered():
    assert METRICS.get('NuScenesDetectionMetric') is NuScenesDetectionMetric
