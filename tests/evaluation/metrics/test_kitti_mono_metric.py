from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from kitti_reference import roles_of_objects
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData

from mono_distill.evaluation import KittiMonoMetric
from mono_distill.evaluation.detections_file import load_detections
from mono_distill.registry import METRICS
from mono_distill.utils.errors import ConfigError, DataError, NonFiniteError

CLASSES = ('Pedestrian', 'Car', 'Cyclist')
META = {'classes': CLASSES}


def data_sample(sample_id: str, found: dict[str, np.ndarray], with_2d: bool = True) -> Det3DDataSample:
    """Detections as a detector returns them, in float64 so that ground truth is exactly itself."""
    boxes = np.concatenate([found['location'], found['dimensions'], found['rotation_y'][:, None]], axis=1)
    boxes_3d = CameraInstance3DBoxes(torch.zeros(0, 7))
    boxes_3d.tensor = torch.from_numpy(boxes)
    instances = InstanceData(
        bboxes_3d=boxes_3d,
        scores_3d=torch.from_numpy(found['score']),
        labels_3d=torch.tensor([CLASSES.index(name) for name in found['name']], dtype=torch.long),
    )
    if with_2d:
        instances.bboxes_2d = torch.from_numpy(found['bbox'])
        instances.alpha = torch.from_numpy(found['alpha'])
    sample = Det3DDataSample(metainfo={'sample_id': sample_id})
    sample.pred_instances_3d = instances
    return sample


def as_detections(truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    keep = np.isin(truth['name'], CLASSES)
    return {**{key: values[keep] for key, values in truth.items()}, 'score': np.full(keep.sum(), 0.5)}


def evaluate(metric: KittiMonoMetric, samples: list[Det3DDataSample], size: int | None = None) -> dict[str, float]:
    """Run the metric as mmengine's loops do."""
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = META
    for sample in samples:
        evaluator.process([sample], {})
    return evaluator.evaluate(len(samples) if size is None else size)


def names(frames: list) -> dict:
    return {f'{i:06d}': frame for i, frame in enumerate(frames)}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Messages that the metric logs."""
    messages: list[str] = []
    logger = MMLogger.get_current_instance()
    for level in ('info', 'warning'):
        monkeypatch.setattr(logger, level, lambda text, *values: messages.append(text % values))
    return messages


def test_is_found_by_its_name_with_the_prefix(tmp_path: Path):
    config = {'type': 'mono_distill.KittiMonoMetric', 'ann_file': str(tmp_path / 'infos.pkl')}
    assert isinstance(METRICS.build(config), KittiMonoMetric)
    assert isinstance(Evaluator(config).metrics[0], KittiMonoMetric)


def test_ground_truth_scores_100(tmp_path: Path, random_frames, write_infos):
    truth, _ = random_frames(0, 400)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    samples = [data_sample(name, as_detections(anno)) for name, anno in names(truth).items()]
    scores = evaluate(KittiMonoMetric(ann_file), samples)
    assert set(scores.values()) == {100.0}
    assert 'KITTI/Car_3D_AP40_moderate_strict' in scores
    assert 'KITTI/Car_3D_AP40_moderate_loose' in scores
    assert len(scores) == 168


def scored_objects(truth: dict[str, dict[str, np.ndarray]]) -> dict[tuple[str, str], int]:
    """How many objects count, by class and difficulty."""
    return {
        (name, difficulty): sum(roles_of_objects(anno, name, d).count('counted') for anno in truth.values())
        for name in CLASSES
        for d, difficulty in enumerate(('easy', 'moderate', 'hard'))
    }


@pytest.mark.real
def test_real_labels_score_what_their_number_allows(tmp_path: Path, real_truth, write_infos):
    """Recall is sampled at 41 true positives, and seven frames have fewer."""
    ann_file = write_infos(tmp_path / 'infos.pkl', real_truth)
    scores = evaluate(
        KittiMonoMetric(ann_file), [data_sample(name, as_detections(anno)) for name, anno in real_truth.items()]
    )
    counts = scored_objects(real_truth)
    assert [counts['Car', difficulty] for difficulty in ('easy', 'moderate', 'hard')] == [10, 16, 26]
    for (name, difficulty), count in counts.items():
        for measure in ('2D', 'AOS', 'BEV', '3D'):
            key = f'KITTI/{name}_{measure}_AP40_{difficulty}_strict'
            assert scores[key] == pytest.approx(100 * max(count - 1, 0) / 40), key


@pytest.mark.real
def test_real_labels_score_100_where_there_are_enough(tmp_path: Path, real_truth, write_infos):
    frames = {f'{name}_{copy}': anno for name, anno in real_truth.items() for copy in range(41)}
    ann_file = write_infos(tmp_path / 'infos.pkl', frames)
    samples = [data_sample(name, as_detections(anno)) for name, anno in frames.items()]
    scores = evaluate(KittiMonoMetric(ann_file), samples)
    for (name, difficulty), count in scored_objects(real_truth).items():
        values = {value for key, value in scores.items() if f'/{name}_' in key and f'_{difficulty}_' in key}
        # The cyclists of these frames are too low or too hidden to be easy.
        assert values == {100.0 if count else 0.0}, (name, difficulty)


def test_repeating_lifts_the_ceiling_of_few_objects(tmp_path: Path, random_frames, write_infos, logged):
    truth, _ = random_frames(3, 4)
    samples = [data_sample(f'{i:06d}', as_detections(anno)) for i, anno in enumerate(truth)]
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    once, often = (evaluate(KittiMonoMetric(ann_file, repeat=repeat), samples) for repeat in (1, 41))
    key = 'KITTI/Car_3D_AP40_hard_strict'
    count = sum(roles_of_objects(anno, 'Car', 2).count('counted') for anno in truth)
    assert 0 < count < 41
    assert once[key] == pytest.approx(100 * (count - 1) / 40)
    assert often[key] == 100.0
    assert any('each counted 41 times' in message for message in logged)


def test_repeating_is_what_more_frames_of_the_same_kind_score(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(5, 4, noise=0.3)
    copies = [(f'{i:06d}', truth[i % 4], found[i % 4]) for i in range(12)]
    many = write_infos(tmp_path / 'many.pkl', {name: anno for name, anno, _ in copies})
    few = write_infos(tmp_path / 'few.pkl', names(truth))
    written = evaluate(KittiMonoMetric(many), [data_sample(name, anno) for name, _, anno in copies])
    counted = evaluate(KittiMonoMetric(few, repeat=3), [data_sample(f'{i:06d}', found[i]) for i in range(4)])
    assert counted == pytest.approx(written)


def test_a_repetition_below_one_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match='repeat counts how often'):
        KittiMonoMetric(tmp_path / 'x.pkl', repeat=0)


def test_a_part_of_the_frames_in_any_order_is_scored_alone(tmp_path: Path, random_frames, write_infos, logged):
    truth, found = random_frames(5, 12, noise=0.2)
    part = [7, 2, 9, 4]
    samples = [data_sample(f'{i:06d}', found[i]) for i in part]
    of_all = evaluate(KittiMonoMetric(write_infos(tmp_path / 'all.pkl', names(truth))), samples)
    assert any('4 of the 12 frames' in message for message in logged)
    own = write_infos(tmp_path / 'part.pkl', {f'{i:06d}': truth[i] for i in sorted(part)})
    assert of_all == evaluate(KittiMonoMetric(own), sorted(samples, key=lambda sample: sample.sample_id))
    assert max(of_all.values()) > 0


def test_frames_that_a_sampler_repeats_count_once(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(6, 5, noise=0.2)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    samples = [data_sample(name, anno) for name, anno in names(found).items()]
    expected = evaluate(KittiMonoMetric(ann_file), samples)
    assert evaluate(KittiMonoMetric(ann_file), samples + samples[:3]) == expected


def test_a_metric_is_used_again_in_the_next_epoch(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(6, 5, noise=0.2)
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', names(truth)))
    samples = [data_sample(name, anno) for name, anno in names(found).items()]
    assert evaluate(metric, samples) == evaluate(metric, samples)


def test_results_of_ranks_survive_pickling(tmp_path: Path, random_frames, write_infos):
    import pickle

    truth, found = random_frames(6, 3)
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', names(truth)))
    metric.dataset_meta = META
    metric.process({}, [data_sample(name, anno).to_dict() for name, anno in names(found).items()])
    again = pickle.loads(pickle.dumps(metric.results))
    assert metric.compute_metrics(again) == metric.compute_metrics(metric.results)


def test_a_frame_of_another_split_is_refused(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(0, 3)
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', names(truth)))
    with pytest.raises(
        DataError, match=r'the predicted frame 000777 is not in .*infos\.pkl \(3 frames, 000000 first\)'
    ):
        evaluate(metric, [data_sample('000777', found[0])])


def test_a_prediction_with_nan_names_its_frame(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(0, 3)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    found[2]['location'][0, 2] = np.nan
    with pytest.raises(NonFiniteError, match='frame 000002: the prediction holds NaN or infinity in bboxes_3d'):
        evaluate(KittiMonoMetric(ann_file), [data_sample(name, anno) for name, anno in names(found).items()])


def test_no_predictions_score_zero(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(0, 4)
    nothing = {key: values[:0] for key, values in found[0].items()}
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    for with_2d in (True, False):
        samples = [data_sample(name, nothing, with_2d) for name in names(truth)]
        assert set(evaluate(KittiMonoMetric(ann_file), samples).values()) == {0.0}


def test_no_frame_at_all_scores_zero(tmp_path: Path, random_frames, write_infos):
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', names(random_frames(0, 3)[0])))
    assert set(evaluate(metric, []).values()) == {0.0}


def test_frames_without_labels_are_scored(tmp_path: Path, random_frames, write_infos):
    """A frame of a labelled split may have no ``instances``: mmdet3d leaves empty fields out of its info files."""
    truth, found = random_frames(2, 40, noise=0.2)
    ann_file = write_infos(tmp_path / 'infos.pkl', {**names(truth), '000900': None})
    samples = [data_sample(name, anno) for name, anno in names(found).items()]
    without = evaluate(KittiMonoMetric(ann_file), samples)
    clutter = {key: np.concatenate([anno[key] for anno in found]) for key in found[0]}
    clutter['score'] = np.full(len(clutter['name']), 0.99)
    with_clutter = evaluate(KittiMonoMetric(ann_file), [*samples, data_sample('000900', clutter)])
    assert 0 < with_clutter['KITTI/Car_3D_AP40_moderate_loose'] < without['KITTI/Car_3D_AP40_moderate_loose']


def test_the_test_split_cannot_be_scored(tmp_path: Path, random_frames, write_infos):
    _, found = random_frames(0, 2)
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', {'000000': None, '000001': None}))
    with pytest.raises(DataError, match=r'infos\.pkl holds no annotations.*format_only=True'):
        evaluate(metric, [data_sample('000000', found[0])])


def test_the_test_split_can_be_submitted(tmp_path: Path, random_frames, write_infos):
    _, found = random_frames(0, 2)
    found[1] = {key: values[:0] for key, values in found[1].items()}
    ann_file = write_infos(tmp_path / 'infos.pkl', {'000000': None, '000001': None})
    metric = KittiMonoMetric(ann_file, format_only=True, submission_prefix=tmp_path / 'out', round_decimals=2)
    assert evaluate(metric, [data_sample(name, anno) for name, anno in names(found).items()]) == {}
    lines = (tmp_path / 'out' / '000000.txt').read_text().splitlines()
    assert len(lines) == len(found[0]['name']) > 0
    assert all(len(line.split()) == 16 for line in lines)
    assert lines[0].split()[-1] == f'{found[0]["score"][0]:.2f}'
    assert (tmp_path / 'out' / '000001.txt').read_text() == ''


def test_files_can_be_written_besides_scoring(tmp_path: Path, random_frames, write_infos, logged):
    truth, found = random_frames(0, 3)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / '000099.txt').write_text('earlier')
    metric = KittiMonoMetric(ann_file, submission_prefix=tmp_path / 'out')
    assert len(evaluate(metric, [data_sample(name, anno) for name, anno in names(found).items()])) == 168
    assert len(list((tmp_path / 'out').glob('*.txt'))) == 4
    assert any('1 files of other frames too, 000099.txt first' in message for message in logged)


def test_rounding_scores_what_the_files_hold(tmp_path: Path, random_frames, write_infos):
    """Read the written files as predictions: the scores are those of ``round_decimals=2``."""
    truth, found = random_frames(4, 60, noise=0.4)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    samples = [data_sample(name, anno) for name, anno in names(found).items()]
    metric = KittiMonoMetric(ann_file, round_decimals=2, submission_prefix=tmp_path / 'out')
    rounded = evaluate(metric, samples)
    read = {}
    for path in sorted((tmp_path / 'out').glob('*.txt')):
        lines = [line.split() for line in path.read_text().splitlines()]
        numbers = np.array([line[3:] for line in lines], dtype=float).reshape(-1, 13)
        read[path.stem] = {
            'name': np.array([line[0] for line in lines], dtype=str),
            'alpha': numbers[:, 0],
            'bbox': numbers[:, 1:5],
            'dimensions': numbers[:, [7, 5, 6]],
            'location': numbers[:, 8:11],
            'rotation_y': numbers[:, 11],
            'score': numbers[:, 12],
        }
    again = evaluate(KittiMonoMetric(ann_file), [data_sample(name, anno) for name, anno in read.items()])
    assert rounded == again
    assert rounded != evaluate(KittiMonoMetric(ann_file), samples)


def test_predicted_2d_boxes_decide_the_2d_scores(tmp_path: Path, random_frames, write_infos):
    truth, _ = random_frames(0, 100)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    samples = [data_sample(name, as_detections(anno)) for name, anno in names(truth).items()]
    projected = evaluate(KittiMonoMetric(ann_file, use_pred_2d=False), samples)
    key = 'KITTI/Car_2D_AP40_moderate_strict'
    assert projected[key] < evaluate(KittiMonoMetric(ann_file), samples)[key]


def test_chosen_classes_are_scored_alone(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(0, 5, noise=0.2)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    samples = [data_sample(name, anno) for name, anno in names(found).items()]
    of_all, of_cars = (evaluate(KittiMonoMetric(ann_file, classes=classes), samples) for classes in (None, ['Car']))
    assert of_cars == {key: value for key, value in of_all.items() if key.startswith('KITTI/Car_')}


def test_prefix_replaces_the_name_of_the_benchmark(tmp_path: Path, random_frames, write_infos):
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', names(random_frames(0, 3)[0])), prefix='val')
    assert all(key.startswith('val/') for key in evaluate(metric, []))


def test_the_log_shows_a_table(tmp_path: Path, random_frames, write_infos, logged):
    truth, _ = random_frames(0, 400)
    ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
    samples = [data_sample(name, as_detections(anno)) for name, anno in names(truth).items()]
    evaluate(KittiMonoMetric(ann_file, classes=['Car']), samples)
    rows = [line.split() for line in logged[-1].splitlines() if line.startswith('Car')]
    assert [row[:3] for row in rows] == [
        ['Car', '2D', '0.70'],
        ['Car', 'AOS', '0.70'],
        ['Car', 'BEV', '0.70'],
        ['Car', 'BEV', '0.50'],
        ['Car', '3D', '0.70'],
        ['Car', '3D', '0.50'],
    ]
    assert all(set(row[3:]) == {'100.0000'} for row in rows)


def test_format_only_needs_a_folder():
    with pytest.raises(ConfigError, match='name their folder with submission_prefix'):
        KittiMonoMetric('infos.pkl', format_only=True)


def test_an_unknown_class_is_refused_at_once():
    with pytest.raises(ConfigError, match="does not evaluate the class 'Truck'"):
        KittiMonoMetric('infos.pkl', classes=['Truck'])


def test_negative_decimals_are_refused():
    with pytest.raises(ConfigError, match='round_decimals must be None or at least 0, got -1'):
        KittiMonoMetric('infos.pkl', round_decimals=-1)


def test_a_data_set_without_class_names_is_refused(tmp_path: Path, random_frames, write_infos):
    truth, found = random_frames(0, 1)
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', names(truth)))
    with pytest.raises(ConfigError, match='must name its classes in METAINFO'):
        metric.process({}, [data_sample('000000', found[0]).to_dict()])


def test_importing_the_metric_imports_neither_mmdet3d_nor_numba():
    code = 'import mono_distill.evaluation, sys; print("mmdet3d" in sys.modules, "numba" in sys.modules)'
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ['False', 'False'], result.stderr


def test_no_message_is_printed(tmp_path: Path, random_frames, write_infos, capsys: pytest.CaptureFixture):
    logging.disable(logging.CRITICAL)
    try:
        truth, found = random_frames(0, 3)
        ann_file = write_infos(tmp_path / 'infos.pkl', names(truth))
        evaluate(KittiMonoMetric(ann_file), [data_sample(name, anno) for name, anno in names(found).items()])
    finally:
        logging.disable(logging.NOTSET)
    assert capsys.readouterr().out == ''


def test_a_small_image_scores_like_the_same_at_full_size(tmp_path: Path, random_frames, write_infos):
    truth = names(random_frames(3, 60)[0])
    small = {name: {**annos, 'bbox': annos['bbox'] / 4} for name, annos in truth.items()}
    scores = {}
    for label, frames, options in (
        ('full', truth, {}),
        ('quarter', small, {'image_scale': 0.25}),
        ('wrong', small, {}),
    ):
        metric = KittiMonoMetric(write_infos(tmp_path / f'{label}.pkl', frames), classes=['Car'], **options)
        found = [data_sample(name, as_detections(annos)) for name, annos in frames.items()]
        scores[label] = evaluate(metric, found)
    assert scores['quarter'] == pytest.approx(scores['full'])
    assert scores['wrong'] != pytest.approx(scores['full'])


def test_an_impossible_scale_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match='image_scale must be positive'):
        KittiMonoMetric(tmp_path / 'infos.pkl', image_scale=0)


def test_detections_are_kept_in_a_file(tmp_path: Path, random_frames, write_infos):
    truth = names(random_frames(1, 5)[0])
    file = tmp_path / 'found.npz'
    metric = KittiMonoMetric(write_infos(tmp_path / 'infos.pkl', truth), classes=['Car'], detections_file=file)
    evaluate(metric, [data_sample(name, as_detections(annos)) for name, annos in truth.items()])
    read = load_detections(file)
    assert list(read) == list(truth)
    for name, annos in truth.items():
        np.testing.assert_allclose(read[name]['location'], as_detections(annos)['location'])
