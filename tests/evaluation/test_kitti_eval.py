from __future__ import annotations

import itertools

import numpy as np
import pytest
from kitti_reference import average_precision, overlaps_by_measure

from mono_distill.compat.kitti_eval import kitti_eval_on_cpu
from mono_distill.evaluation.kitti_eval import DIFFICULTIES, MEASURES, kitti_eval
from mono_distill.ops import rotated_iou_bev
from mono_distill.utils.errors import ConfigError, DataError

CLASSES = ('Pedestrian', 'Car', 'Cyclist')
OVERLAPS = {
    ('Car', 'strict'): {'2D': 0.7, 'AOS': 0.7, 'BEV': 0.7, '3D': 0.7},
    ('Car', 'loose'): {'2D': 0.7, 'AOS': 0.7, 'BEV': 0.5, '3D': 0.5},
    ('Pedestrian', 'strict'): {'2D': 0.5, 'AOS': 0.5, 'BEV': 0.5, '3D': 0.5},
    ('Pedestrian', 'loose'): {'2D': 0.5, 'AOS': 0.5, 'BEV': 0.25, '3D': 0.25},
    ('Cyclist', 'strict'): {'2D': 0.5, 'AOS': 0.5, 'BEV': 0.5, '3D': 0.5},
    ('Cyclist', 'loose'): {'2D': 0.5, 'AOS': 0.5, 'BEV': 0.25, '3D': 0.25},
}


def frame(*rows: tuple, score: float | None = None) -> dict[str, np.ndarray]:
    """A frame of objects given as (name, x, z) and optional changes; their 2D boxes are 100 px high and lie apart."""
    count = len(rows)
    anno = {
        'name': np.array([row[0] for row in rows], dtype=str),
        'truncated': np.zeros(count),
        'occluded': np.zeros(count, dtype=int),
        'alpha': np.full(count, 0.5),
        'bbox': np.array([[200.0 * i, 100, 200 * i + 100, 200] for i in range(count)]).reshape(count, 4),
        'dimensions': np.tile([4.0, 1.5, 2.0], (count, 1)),
        'location': np.array([[row[1], 1.6, row[2]] for row in rows], dtype=float).reshape(count, 3),
        'rotation_y': np.full(count, 0.3),
        'score': np.full(count, 0.0 if score is None else score),
    }
    for i, row in enumerate(rows):
        for key, value in (row[3] if len(row) > 3 else {}).items():
            anno[key][i] = value
    return anno


def as_detections(truth: dict[str, np.ndarray], score: float = 0.9) -> dict[str, np.ndarray]:
    keep = np.isin(truth['name'], CLASSES)
    return {**{key: values[keep] for key, values in truth.items()}, 'score': np.full(keep.sum(), score)}


def forty_one(truth: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Enough frames for every one of the 41 recalls to have a true positive of its own."""
    return [truth] * 41


@pytest.mark.parametrize('seed', range(6))
def test_equals_an_independent_slow_evaluation(random_frames, seed: int):
    pytest.importorskip('shapely')
    # Low noise on even seeds, so that strict 3D overlaps occur often.
    truth, detections = random_frames(seed, 14, noise=0.3 if seed % 2 == 0 else 1.0)
    scores = kitti_eval(truth, detections, CLASSES)
    overlaps = overlaps_by_measure(truth, detections)
    for (name, overlap), minimum in OVERLAPS.items():
        for measure, (d, difficulty) in itertools.product(MEASURES, enumerate(DIFFICULTIES)):
            expected = average_precision(truth, detections, overlaps, name, d, measure, minimum[measure])
            for recalls, value in expected.items():
                key = f'{name}_{measure}_{recalls}_{difficulty}_{overlap}'
                assert scores[key] == pytest.approx(value, abs=1e-9), key
    assert scores['Car_3D_AP40_moderate_loose'] > 1


def test_equals_kitti_eval_of_mmdet3d(random_frames):
    truth, detections = random_frames(7, 240, noise=0.5)
    # mmdet3d fails if a frame without labels comes first.
    first = next(i for i, anno in enumerate(truth) if len(anno['name']))
    truth, detections = truth[first:], detections[first:]
    with kitti_eval_on_cpu(rotated_iou_bev) as mmdet3d_eval:
        _, expected = mmdet3d_eval.kitti_eval(truth, detections, list(CLASSES), ['bbox', 'bev', '3d'])
    scores = kitti_eval(truth, detections, CLASSES)
    assert len(expected) == 126
    for key, value in expected.items():
        assert scores[key.removeprefix('KITTI/')] == pytest.approx(value, abs=1e-9), key
    assert {key for key in scores if 'AOS' not in key} == {key.removeprefix('KITTI/') for key in expected}


def test_ground_truth_scores_100(random_frames):
    truth, _ = random_frames(0, 400)
    scores = kitti_eval(truth, [as_detections(anno) for anno in truth], CLASSES)
    assert set(scores.values()) == {100.0}


def test_ground_truth_scores_100_without_dont_care_regions(random_frames):
    truth, _ = random_frames(1, 400)
    truth = [{key: values[anno['name'] != 'DontCare'] for key, values in anno.items()} for anno in truth]
    assert set(kitti_eval(truth, [as_detections(anno) for anno in truth], CLASSES).values()) == {100.0}


@pytest.mark.parametrize('count', [1, 2, 11, 40, 41, 60])
def test_few_objects_cannot_reach_100(count: int):
    """Recall is sampled at true positives: n objects give n samples of the 41."""
    truth = [frame(('Car', 0, 20))] * count
    scores = kitti_eval(truth, [as_detections(anno) for anno in truth], ['Car'])
    samples = min(count, 41)
    assert scores['Car_3D_AP40_easy_strict'] == pytest.approx(100 * (samples - 1) / 40)
    assert scores['Car_3D_AP11_easy_strict'] == pytest.approx(100 * np.ceil(samples / 4) / 11)


def test_a_detection_in_a_dont_care_region_is_no_false_positive_in_2d():
    region = ('DontCare', -1000, -1000, {'dimensions': -1, 'bbox': [500, 100, 700, 200]})
    inside = ('Car', 5, 40, {'bbox': [550, 120, 650, 180]})
    for rows, expected in (([], 50.0), ([region], 100.0)):
        truth = frame(('Car', 0, 20), *rows)
        scores = kitti_eval(forty_one(truth), forty_one(frame(('Car', 0, 20), inside, score=0.9)), ['Car'])
        assert scores['Car_2D_AP40_moderate_strict'] == pytest.approx(expected)
        assert scores['Car_AOS_AP40_moderate_strict'] == pytest.approx(expected)
        # On the ground there is no region.
        assert scores['Car_3D_AP40_moderate_strict'] == pytest.approx(50.0)


@pytest.mark.parametrize(('name', 'neighbour'), [('Car', 'Van'), ('Pedestrian', 'Person_sitting')])
def test_a_detection_on_a_neighbouring_class_is_no_false_positive(name: str, neighbour: str):
    for other, expected in ((neighbour, 100.0), ('Truck', 50.0)):
        truth = frame((name, 0, 20), (other, 8, 30))
        found = frame((name, 0, 20), (name, 8, 30), score=0.9)
        scores = kitti_eval(forty_one(truth), forty_one(found), [name])
        for measure in MEASURES:
            assert scores[f'{name}_{measure}_AP40_hard_strict'] == pytest.approx(expected)


@pytest.mark.parametrize(
    ('change', 'scored'),
    [
        ({'occluded': 1}, ('moderate', 'hard')),
        ({'occluded': 2}, ('hard',)),
        ({'occluded': 3}, ()),
        ({'truncated': 0.2}, ('moderate', 'hard')),
        ({'truncated': 0.4}, ('hard',)),
        ({'truncated': 0.6}, ()),
        ({'bbox': [0, 100, 100, 130]}, ('moderate', 'hard')),
        ({'bbox': [0, 100, 100, 120]}, ()),
    ],
)
def test_objects_count_only_at_their_difficulty(change: dict, scored: tuple[str, ...]):
    truth = forty_one(frame(('Car', 0, 20, change)))
    scores = kitti_eval(truth, [as_detections(anno) for anno in truth], ['Car'])
    for difficulty, measure in itertools.product(DIFFICULTIES, MEASURES):
        assert scores[f'Car_{measure}_AP40_{difficulty}_strict'] == (100.0 if difficulty in scored else 0.0)


def test_loose_and_strict_differ_in_the_overlap_that_counts():
    truth = forty_one(frame(('Car', 0, 20)))
    # Moved 1 m along its length of 4 m: IoU 3 / 5.
    moved = forty_one(frame(('Car', np.cos(0.3), 20 - np.sin(0.3)), score=0.9))
    scores = kitti_eval(truth, moved, ['Car'])
    assert scores['Car_3D_AP40_moderate_strict'] == scores['Car_BEV_AP40_moderate_strict'] == 0.0
    assert scores['Car_3D_AP40_moderate_loose'] == scores['Car_BEV_AP40_moderate_loose'] == 100.0


def test_orientation_similarity_falls_with_the_angle():
    truth = forty_one(frame(('Car', 0, 20)))
    for turn, expected in ((0.0, 100.0), (np.pi / 2, 50.0), (np.pi, 0.0)):
        found = forty_one(frame(('Car', 0, 20, {'alpha': 0.5 + turn}), score=0.9))
        assert kitti_eval(truth, found, ['Car'])['Car_AOS_AP40_easy_strict'] == pytest.approx(expected, abs=1e-9)


def test_overall_is_the_mean_of_the_classes(random_frames):
    scores = kitti_eval(*random_frames(3, 20, noise=0.3), CLASSES)
    for measure, recalls, difficulty in itertools.product(MEASURES, ('AP11', 'AP40'), DIFFICULTIES):
        classes = [scores[f'{name}_{measure}_{recalls}_{difficulty}_strict'] for name in CLASSES]
        assert scores[f'Overall_{measure}_{recalls}_{difficulty}'] == pytest.approx(np.mean(classes))
    assert len(scores) == 3 * 4 * 2 * 3 * 2 + 4 * 2 * 3


def test_one_class_has_no_overall(random_frames):
    scores = kitti_eval(*random_frames(3, 5), ['Car'])
    assert len(scores) == 4 * 2 * 3 * 2
    assert all(key.startswith('Car_') for key in scores)


@pytest.mark.parametrize(
    ('truth', 'found'),
    [
        pytest.param([], [], id='no-frames'),
        pytest.param([frame()], [frame()], id='nothing-at-all'),
        pytest.param([frame(), frame(('Car', 0, 20))], [frame(), frame()], id='no-predictions'),
        pytest.param([frame()], [frame(('Car', 0, 20), score=0.9)], id='no-labels'),
        pytest.param([frame(('Tram', 0, 20))], [frame(('Car', 0, 20), score=0.9)], id='no-object-of-the-classes'),
        pytest.param(
            [frame(('DontCare', -1000, -1000, {'dimensions': -1}))],
            [frame(('Car', 0, 20), score=0.9)],
            id='only-dont-care',
        ),
        pytest.param([frame(('Car', 0, 20))], [frame(('Cyclist', 0, 20), score=0.9)], id='wrong-class'),
    ],
)
def test_nothing_to_find_or_nothing_found_scores_zero(truth: list, found: list):
    assert set(kitti_eval(truth, found, CLASSES).values()) == {0.0}


def test_a_class_without_ground_truth_scores_zero_beside_others():
    truth = forty_one(frame(('Car', 0, 20)))
    found = forty_one(frame(('Car', 0, 20), ('Cyclist', 5, 30), score=0.9))
    scores = kitti_eval(truth, found, CLASSES)
    assert scores['Car_3D_AP40_hard_strict'] == 100.0
    assert scores['Cyclist_3D_AP40_hard_strict'] == 0.0


def test_398_frames_are_no_special_number():
    """mmdet3d cuts them into 199 blocks of two frames and one of none, which it cannot concatenate."""
    truth = [frame(('Car', 0, 20))] * 398
    found = [as_detections(anno) for anno in truth]
    with kitti_eval_on_cpu(rotated_iou_bev) as mmdet3d_eval, pytest.raises(ValueError, match='concatenate'):
        mmdet3d_eval.kitti_eval(truth, found, ['Car'], ['bbox'])
    assert kitti_eval(truth, found, ['Car'])['Car_2D_AP40_easy_strict'] == 100.0


def test_a_threshold_without_any_counted_detection_is_no_nan():
    """0 / 0: the detection that samples the recall goes to an ignored object when all thresholds are counted.

    The hidden car takes the better-scored detection at first and the better-fitting one later; what is left then lies
    in a DontCare region.
    """
    truth = frame(
        ('Car', 0, 20, {'occluded': 3, 'bbox': [0, 100, 100, 200]}),
        ('Car', 0, 20, {'bbox': [0, 100, 100, 216]}),
        ('DontCare', -1000, -1000, {'dimensions': -1, 'bbox': [0, 0, 400, 400]}),
    )
    found = frame(
        ('Car', 0, 20, {'bbox': [0, 70, 100, 200], 'score': 0.9}),
        ('Car', 0, 20, {'bbox': [0, 100, 100, 202], 'score': 0.8}),
    )
    scores = kitti_eval([truth], [found], ['Car'])
    assert scores['Car_2D_AP11_hard_strict'] == 0.0
    assert np.isfinite(list(scores.values())).all()


def test_refuses_an_unknown_class():
    with pytest.raises(ConfigError, match="does not evaluate the class 'car'; did you mean 'Car'"):
        kitti_eval([], [], ['car'])


def test_refuses_to_evaluate_no_class():
    with pytest.raises(ConfigError, match='no class to evaluate'):
        kitti_eval([], [], [])


def test_refuses_sequences_of_different_length():
    with pytest.raises(DataError, match='1 frames of ground truth cannot be compared with 0'):
        kitti_eval([frame()], [])
