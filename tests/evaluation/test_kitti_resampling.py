from __future__ import annotations

import itertools

import numpy as np
import pytest

from mono_distill.evaluation.kitti_eval import kitti_eval
from mono_distill.evaluation.kitti_resampling import Measure, average_precision, match_frames
from mono_distill.utils.errors import ConfigError, DataError


def objects(rng, count):
    z = rng.uniform(4, 60, count)
    location = np.stack([rng.uniform(-15, 15, count), np.full(count, 1.6), z], axis=1)
    left = 300 + 10 * location[:, 0]
    return {
        'name': np.where(rng.random(count) < 0.8, 'Car', 'Van').astype(str),
        'truncated': np.zeros(count),
        'occluded': rng.integers(0, 3, count),
        'alpha': rng.uniform(-3, 3, count),
        'bbox': np.stack([left, np.full(count, 100.0), left + 40, 100 + 1500 / z], axis=1),
        'location': location,
        'dimensions': np.tile([3.9, 1.5, 1.6], (count, 1)),
        'rotation_y': rng.uniform(-3, 3, count),
        'score': np.zeros(count),
    }


def detections(rng, truth):
    """Most objects with errors, some inventions; scores with ties."""
    found = rng.random(len(truth['name'])) < 0.8
    extra = objects(rng, int(rng.integers(0, 3)))
    annos = {key: np.concatenate([value[found], extra[key]]) for key, value in truth.items()}
    count = len(annos['name'])
    annos['location'] = annos['location'] + rng.normal(0, 0.7, (count, 3)) * [0.5, 0.05, 1]
    annos['name'] = np.full(count, 'Car')
    annos['score'] = np.round(rng.random(count), 1)
    return annos


@pytest.fixture(scope='module')
def frames():
    rng = np.random.default_rng(3)
    truth = [objects(rng, int(rng.integers(0, 6))) for _ in range(60)]
    return truth, [detections(rng, annos) for annos in truth]


@pytest.mark.parametrize(
    ('metric', 'overlap', 'difficulty'),
    itertools.product(('2D', 'BEV', '3D'), ('strict', 'loose'), ('easy', 'moderate', 'hard')),
)
def test_the_whole_split_scores_what_the_metric_gives(frames, metric, overlap, difficulty):
    measure = Measure('Car', metric, overlap, difficulty)
    expected = kitti_eval(*frames, ['Car'])[f'Car_{metric}_AP40_{difficulty}_{overlap}']
    assert average_precision(match_frames(*frames, measure)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize('seed', range(3))
def test_a_resample_scores_what_the_metric_gives_on_repeated_frames(frames, seed):
    truth, found = frames
    weights = np.random.default_rng(seed).integers(0, 4, len(truth))
    index = np.repeat(np.arange(len(truth)), weights)
    expected = kitti_eval([truth[i] for i in index], [found[i] for i in index], ['Car'])
    matches = match_frames(truth, found, Measure())
    assert average_precision(matches, weights) == pytest.approx(expected['Car_3D_AP40_moderate_loose'], abs=1e-9)


def test_objects_beyond_the_depths_are_neither_right_nor_wrong():
    rng = np.random.default_rng(0)
    truth = [{**objects(rng, 2), 'occluded': np.zeros(2, np.int64), 'name': np.array(['Car', 'Car'])}]
    truth[0]['location'][:, 2] = 10, 50
    truth[0]['bbox'][:, 3] = truth[0]['bbox'][:, 1] + 60
    found = [{**truth[0], 'score': np.array([0.4, 0.9])}]
    # The far detection is missing, and a far invention is there instead.
    found[0] = {**found[0], 'location': found[0]['location'] + [[0, 0, 0], [9, 0, 0]]}
    near = match_frames(truth, found, Measure(depths=(0, 20)))
    assert near.objects.tolist() == [1]
    assert (near.right.sum(), near.wrong.sum()) == (1, 0)
    everything = match_frames(truth, found, Measure())
    assert (everything.right.sum(), everything.wrong.sum()) == (1, 1)


def test_nothing_found_scores_nothing():
    rng = np.random.default_rng(0)
    truth = [objects(rng, 3)]
    nothing = [{key: value[:0] for key, value in truth[0].items()}]
    assert average_precision(match_frames(truth, nothing, Measure())) == 0


def test_unequal_numbers_of_frames_are_an_error(frames):
    with pytest.raises(DataError, match='60 frames of ground truth'):
        match_frames(frames[0], frames[1][:-1], Measure())


def test_an_unknown_measure_suggests_the_right_one(frames):
    with pytest.raises(ConfigError, match="did you mean 'moderate'"):
        match_frames(*frames, Measure(difficulty='moderat'))
