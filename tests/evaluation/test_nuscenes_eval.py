from __future__ import annotations

import json

import numpy as np
import pytest

from mono_distill.datasets.nuscenes.classes import NUSCENES_CLASSES
from mono_distill.evaluation import nuscenes_eval as module
from mono_distill.evaluation.nuscenes_eval import (
    check_tokens,
    default_eval_set,
    load_nuscenes,
    nuscenes_eval,
    score_table,
    split_tokens,
    write_results,
)
from mono_distill.utils.errors import ConfigError, DataError

VERSION = 'v1.0-mini'


@pytest.fixture(scope='module')
def nusc(tiny_nuscenes):
    return load_nuscenes(VERSION, tiny_nuscenes)


@pytest.fixture(scope='module')
def truth(nusc):
    """The annotations of the validation scene as predictions, by the devkit's own means."""
    from nuscenes.eval.detection.utils import category_to_detection_name

    results = {}
    for token in split_tokens(nusc, 'mini_val'):
        rows = [nusc.get('sample_annotation', each) for each in nusc.get('sample', token)['anns']]
        results[token] = [
            {
                'sample_token': token,
                'translation': row['translation'],
                'size': row['size'],
                'rotation': row['rotation'],
                'velocity': np.nan_to_num(nusc.box_velocity(row['token'])[:2]).tolist(),
                'detection_name': category_to_detection_name(row['category_name']),
                'detection_score': 0.5,
                'attribute_name': ''.join(nusc.get('attribute', each)['name'] for each in row['attribute_tokens']),
            }
            for row in rows
            if row['num_lidar_pts'] > 0
        ]
    return results


def test_the_annotations_themselves_get_full_marks(nusc, truth):
    scores = nuscenes_eval(truth, nusc, 'mini_val')
    assert scores['mAP'] == pytest.approx(1)
    assert scores['NDS'] == pytest.approx(1, abs=1e-6)
    assert all(scores[f'{name}_AP'] == pytest.approx(1) for name in NUSCENES_CLASSES)
    assert 'car_AP_0.5' in scores
    # The benchmark defines no orientation of a cone.
    assert 'car_AOE' in scores
    assert 'traffic_cone_AOE' not in scores
    assert all(np.isfinite(value) for value in scores.values())


def test_half_of_a_class_is_half_found(nusc, truth):
    kept = {
        token: [box for i, box in enumerate(entries) if box['detection_name'] != 'car' or i % 2]
        for token, entries in truth.items()
    }
    scores = nuscenes_eval(kept, nusc, 'mini_val')
    assert 0.2 < scores['car_AP'] < 0.8
    assert scores['truck_AP'] == pytest.approx(1)


def test_nothing_found_scores_nothing(nusc, truth):
    scores = nuscenes_eval({token: [] for token in truth}, nusc, 'mini_val')
    assert scores['mAP'] == scores['NDS'] == 0
    assert scores['mATE'] == scores['mASE'] == scores['mAOE'] == scores['mAVE'] == scores['mAAE'] == 1
    assert all(scores[f'{name}_AP'] == 0 for name in NUSCENES_CLASSES)


def test_a_sample_in_which_nothing_is_found_is_no_error(nusc, truth):
    first = next(iter(truth))
    assert 0 < nuscenes_eval({**truth, first: []}, nusc, 'mini_val')['mAP'] < 1


def test_samples_that_are_not_those_of_the_split_are_named(nusc, truth):
    some = dict(list(truth.items())[1:])
    foreign = next(iter(split_tokens(nusc, 'mini_train')))
    with pytest.raises(DataError, match=r'2 samples were predicted.*has 3.*Missing: 1 \(1 of scene-0103\)'):
        check_tokens(some, nusc, 'mini_val')
    with pytest.raises(DataError, match=r'Missing: 0 \(none\); not of the split: 1 \(1 of scene-0061\)'):
        nuscenes_eval({**truth, foreign: []}, nusc, 'mini_val')
    with pytest.raises(DataError, match='1 of no scene of this data set'):
        check_tokens({**truth, 'x': []}, nusc, 'mini_val')


def test_unknown_versions_splits_and_folders_are_named(nusc, tmp_path):
    assert [default_eval_set(f'v1.0-{name}') for name in ('mini', 'trainval', 'test')] == ['mini_val', 'val', 'test']
    with pytest.raises(ConfigError, match="did you mean 'v1.0-mini'"):
        default_eval_set('v1.0-mimi')
    with pytest.raises(ConfigError, match="no split 'mini_vall'; did you mean 'mini_val'"):
        split_tokens(nusc, 'mini_vall')
    with pytest.raises(DataError, match='belongs to the split test: it has scene-0061, scene-0103'):
        split_tokens(nusc, 'test')
    with pytest.raises(DataError, match='holds no tables'):
        load_nuscenes(VERSION, tmp_path)


def test_the_data_base_is_read_once(nusc, tiny_nuscenes):
    assert load_nuscenes(VERSION, str(tiny_nuscenes)) is nusc
    assert module._load.cache_info().hits > 0


def test_a_result_file_has_the_benchmarks_form(tmp_path):
    file = tmp_path / 'new' / 'results.json'
    write_results(file, {'t': []}, sensors=['camera'])
    content = json.loads(file.read_text())
    assert content['results'] == {'t': []}
    assert content['meta'] == dict(use_camera=True, use_lidar=False, use_radar=False, use_map=False, use_external=False)


def test_the_table_has_a_row_for_every_class(nusc, truth):
    lines = score_table(nuscenes_eval(truth, nusc, 'mini_val'), NUSCENES_CLASSES).splitlines()
    assert len(lines) == 13
    assert lines[1].split()[:2] == ['car', '1.000']
    assert lines[10].split()[4] == 'nan'
    assert lines[-1] == 'NDS 1.0000'
