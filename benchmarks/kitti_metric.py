"""How long does one KITTI evaluation take? Ours against mmdet3d's, on 3769 synthetic frames (as in KITTI val).

Both compute AP11 and AP40 of 2D, AOS, BEV and 3D for three classes with the same compiled CPU overlap, so the ratio
shows what evaluating one image at a time saves. mmdet3d itself cannot run without a CUDA driver; the overlap is lent
to it here. Seconds are CPU time of one thread, which other programs on the machine disturb less than the clock.

Run ``python benchmarks/kitti_metric.py``; nothing is written.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

import mono_distill  # noqa: F401  (prepares mmcv-lite before mmdet3d is imported)
from mono_distill.compat.kitti_eval import EVAL_MODULE, ROTATE_IOU_MODULE
from mono_distill.evaluation.kitti_eval import kitti_eval
from mono_distill.ops import rotated_iou_bev

CLASSES = ('Pedestrian', 'Car', 'Cyclist')
CATEGORIES = {'Pedestrian': 0, 'Cyclist': 1, 'Car': 2, 'Van': 3}
# Shares of the labels of KITTI's training set, and lengths, heights and widths in metres.
SHARES = {'Car': 0.56, 'Pedestrian': 0.09, 'Cyclist': 0.03, 'Van': 0.06, 'DontCare': 0.26}
SIZES = {'Car': (3.9, 1.5, 1.6), 'Pedestrian': (0.8, 1.7, 0.7), 'Cyclist': (1.8, 1.7, 0.6), 'Van': (5.0, 2.1, 1.9)}
FOCAL, CENTRE = 721.5, (609.6, 172.9)
START = (
    'import time, numpy as np; start = time.process_time(); import mono_distill;'
    'from mono_distill.evaluation.kitti_eval import kitti_eval; import mmdet3d.evaluation;'
    'imported = time.process_time(); n = np.ones(1); r = np.ones((1, 3));'
    'a = dict(name=np.array(["Car"]), truncated=n, occluded=np.ones(1, int), alpha=n, bbox=np.ones((1, 4)),'
    ' dimensions=r, location=r, rotation_y=n, score=n);'
    'kitti_eval([a], [a]); print(imported - start, time.process_time() - imported)'
)


def image_boxes(location: np.ndarray, dimensions: np.ndarray) -> np.ndarray:
    """Roughly the boxes one sees."""
    scale = FOCAL / location[:, 2]
    centre, bottom = location[:, 0] * scale + CENTRE[0], location[:, 1] * scale + CENTRE[1]
    half, height = dimensions[:, 0] * scale * 0.35, dimensions[:, 1] * scale
    return np.stack([centre - half, bottom - height, centre + half, bottom], axis=1)


def ground_truth(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """About seven labels, as KITTI has on average."""
    count = int(rng.poisson(7))
    name = rng.choice(list(SHARES), size=count, p=list(SHARES.values()))
    z = rng.gamma(3.0, 9.0, count) + 4
    location = np.stack([rng.uniform(-0.5, 0.5, count) * z, np.full(count, 1.65), z], axis=1)
    dimensions = np.array([SIZES.get(one, (1.0, 1.0, 1.0)) for one in name]).reshape(count, 3)
    rotation = rng.choice([1.57, -1.57, 0.0], count) + rng.normal(0, 0.1, count)
    return {
        'name': name,
        'truncated': np.zeros(count),
        'occluded': rng.choice(4, count, p=[0.5, 0.25, 0.2, 0.05]),
        'alpha': rotation - np.arctan2(location[:, 0], z),
        'bbox': image_boxes(location, dimensions),
        'dimensions': dimensions * np.exp(rng.normal(0, 0.05, (count, 3))),
        'location': location,
        'rotation_y': rotation,
        'score': np.zeros(count),
    }


def detections(rng: np.random.Generator, truth: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a monocular detector finds: depth errors of some percent, misses, and a few false alarms."""
    wanted = np.flatnonzero(np.isin(truth['name'], CLASSES) & (rng.random(len(truth['name'])) < 0.9))
    alarms = ground_truth(rng)
    alarms_kept = np.flatnonzero(np.isin(alarms['name'], CLASSES))
    found = {key: np.concatenate([truth[key][wanted], alarms[key][alarms_kept]]) for key in truth}
    count = len(found['name'])
    found['location'] = found['location'] * (1 + rng.normal(0, 0.03, (count, 1)))
    found['rotation_y'] = found['rotation_y'] + rng.normal(0, 0.1, count)
    found['bbox'] = image_boxes(found['location'], found['dimensions']) + rng.normal(0, 2, (count, 4))
    found['score'] = rng.random(count)
    return found


def stock_kitti_eval(truth: list, found: list) -> dict[str, float]:
    """mmdet3d's ``kitti_eval`` as it is, with only the overlap replaced."""
    stand_in = types.ModuleType(ROTATE_IOU_MODULE)
    stand_in.rotate_iou_gpu_eval = lambda boxes, queries, criterion=-1, device_id=0: rotated_iou_bev(
        boxes, queries, criterion
    )
    sys.modules[ROTATE_IOU_MODULE] = stand_in
    try:
        return importlib.import_module(EVAL_MODULE).kitti_eval(truth, found, list(CLASSES), ['bbox', 'bev', '3d'])[1]
    finally:
        del sys.modules[ROTATE_IOU_MODULE]


def write_infos(path: Path, truth: list) -> None:
    """Write an info file with the fields that the metric reads."""
    entries = []
    for index, anno in enumerate(truth):
        boxes = np.concatenate([anno['location'], anno['dimensions'], anno['rotation_y'][:, None]], axis=1)
        image = {'cam2img': np.eye(4), 'lidar2cam': np.eye(4), 'width': 1242, 'height': 375}
        instances = [
            {
                'bbox': anno['bbox'][i],
                'bbox_label': CATEGORIES.get(name, -1),
                'bbox_3d': boxes[i],
                'alpha': anno['alpha'][i],
                'truncated': anno['truncated'][i],
                'occluded': anno['occluded'][i],
            }
            for i, name in enumerate(anno['name'])
        ]
        entries.append({'sample_id': f'{index:06d}', 'images': {'CAM2': image}, 'instances': instances})
    path.write_bytes(pickle.dumps({'metainfo': {'categories': CATEGORIES}, 'data_list': entries}))


def metric_seconds(truth: list, found: list, **options: object) -> tuple[float, float]:
    """Seconds of ``process`` and of ``evaluate`` of the whole metric, the info file included."""
    from mmdet3d.structures import CameraInstance3DBoxes

    from mono_distill.evaluation import KittiMonoMetric

    samples = []
    for index, anno in enumerate(found):
        boxes = np.concatenate([anno['location'], anno['dimensions'], anno['rotation_y'][:, None]], axis=1)
        prediction = {
            'bboxes_3d': CameraInstance3DBoxes(torch.from_numpy(boxes).float()),
            'scores_3d': torch.from_numpy(anno['score']).float(),
            'labels_3d': torch.tensor([CLASSES.index(name) for name in anno['name']], dtype=torch.long),
            'bboxes_2d': torch.from_numpy(anno['bbox']).float(),
            'alpha': torch.from_numpy(anno['alpha']).float(),
        }
        samples.append({'sample_id': f'{index:06d}', 'pred_instances_3d': prediction})
    with tempfile.TemporaryDirectory() as folder:
        write_infos(Path(folder) / 'infos.pkl', truth)
        metric = KittiMonoMetric(f'{folder}/infos.pkl', **options)
        metric.dataset_meta = {'classes': CLASSES}
        start = time.process_time()
        metric.process({}, samples)
        processed = time.process_time()
        metric.evaluate(len(samples))
        return processed - start, time.process_time() - processed


def seconds(function: Callable, *arguments: object) -> tuple[float, Any]:
    """Return how long a call takes, and its result."""
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


def first_call_seconds() -> list[float]:
    """Seconds of the first evaluation of a process without and with machine code on disk."""
    with tempfile.TemporaryDirectory() as folder:
        command, env = [sys.executable, '-W', 'ignore', '-c', START], {**os.environ, 'NUMBA_CACHE_DIR': folder}
        runs = [subprocess.run(command, env=env, capture_output=True, text=True, check=True) for _ in range(2)]
    return [float(run.stdout.split()[1]) for run in runs]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=int, default=3769)
    parser.add_argument('--repeats', type=int, default=3)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    truth = [ground_truth(rng) for _ in range(args.frames)]
    found = [detections(rng, anno) for anno in truth]
    labels, boxes = (sum(len(anno['name']) for anno in annos) for annos in (truth, found))
    print(f'{args.frames} frames, {labels} labels, {boxes} detections, {len(CLASSES)} classes, best of {args.repeats}')

    kitti_eval(truth[:3], found[:3], CLASSES)
    ours, theirs = [], []
    for _ in range(args.repeats):
        ours.append(seconds(kitti_eval, truth, found, CLASSES))
        theirs.append(seconds(stock_kitti_eval, truth, found))
    scores, expected = ours[0][1], theirs[0][1]
    difference = max(abs(scores[key.removeprefix('KITTI/')] - value) for key, value in expected.items())
    ours_s, theirs_s = min(run[0] for run in ours), min(run[0] for run in theirs)
    process_s, evaluate_s = metric_seconds(truth, found)
    _, rounded_s = metric_seconds(truth, found, round_decimals=2)
    cold_s, cached_s = first_call_seconds()
    for name, value in (
        ('mmdet3d kitti_eval, overlaps in blocks of many images', theirs_s),
        ('mono_distill kitti_eval, overlaps per image', ours_s),
        ('KittiMonoMetric.process, all frames', process_s),
        ('KittiMonoMetric.evaluate', evaluate_s),
        ('KittiMonoMetric.evaluate, round_decimals=2', rounded_s),
        ('first call of a process, compiling', cold_s),
        ('first call of a process, machine code on disk', cached_s),
    ):
        print(f'{name:<56}{value:8.2f} s')
    print(f'ratio mmdet3d / mono_distill: {theirs_s / ours_s:.2f}')
    print(f'largest difference of the {len(expected)} scores that both return: {difference:.1e}')


if __name__ == '__main__':
    main()
