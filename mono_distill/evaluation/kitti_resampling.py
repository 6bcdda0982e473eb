"""KITTI's AP40 of many resamples of the same frames: match once, then count.

A confidence interval over frames needs the average precision of thousands of resamples. KITTI's code matches anew every
time. Here each frame is matched once for every score at which its own result changes; the AP40 of any resample then
follows from sorted scores alone and is the number that :func:`~mono_distill.evaluation.kitti_eval.kitti_eval` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from mono_distill.compat.kitti_eval import kitti_eval_on_cpu
from mono_distill.evaluation.kitti_eval import DIFFICULTIES, KITTI_CLASSES, MIN_OVERLAPS, KittiAnnos
from mono_distill.ops import rotated_iou_bev
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

Whole = NDArray[np.int64]
Real = NDArray[np.float64]

_METRICS = {'2D': 0, 'BEV': 1, '3D': 2}


@dataclass(frozen=True)
class Measure:
    """What is counted.

    Attributes:
        name: A class of KITTI's.
        metric: ``'2D'``, ``'BEV'`` or ``'3D'``.
        overlap: ``'strict'`` or ``'loose'``, see :data:`~mono_distill.evaluation.kitti_eval.MIN_OVERLAPS`.
        difficulty: ``'easy'``, ``'moderate'`` or ``'hard'``.
        depths: Count only objects with z in [near, far) metres; others, and unmatched detections there, are neither
            right nor wrong.
    """

    name: str = 'Car'
    metric: str = '3D'
    overlap: str = 'loose'
    difficulty: str = 'moderate'
    depths: tuple[float, float] | None = None


@dataclass(frozen=True)
class Matches:
    """Frames matched for one measure. E are the places where the result of a frame changes with the threshold.

    Attributes:
        objects: (F,) counted objects of each frame.
        hit_score: (H,) scores of the detections that find an object when all detections count, best first.
        hit_frame: (H,) their frames.
        score: (E,) scores, best first.
        frame: (E,) frames.
        right: (E,) change of the number of true positives.
        wrong: (E,) change of the number of false positives.
    """

    objects: Whole
    hit_score: Real
    hit_frame: Whole
    score: Real
    frame: Whole
    right: Whole
    wrong: Whole


def match_frames(gt_annos: Sequence[KittiAnnos], dt_annos: Sequence[KittiAnnos], measure: Measure) -> Matches:
    """Match the detections of every frame.

    Args:
        gt_annos: Ground truth of every frame.
        dt_annos: Detections of the same frames, in the same order.
        measure: What is counted.

    Raises:
        DataError: The sequences differ in length.
        ConfigError: The measure names something that KITTI does not evaluate.
    """
    if len(gt_annos) != len(dt_annos):
        raise DataError(f'{len(gt_annos)} frames of ground truth cannot be matched with {len(dt_annos)} of detections.')
    for value, known in (
        (measure.name, KITTI_CLASSES),
        (measure.metric, _METRICS),
        (measure.overlap, MIN_OVERLAPS),
        (measure.difficulty, DIFFICULTIES),
    ):
        if value not in known:
            raise ConfigError(f'Measure: unknown {value!r}; {did_you_mean(value, known)}')
    metric = _METRICS[measure.metric]
    min_overlap = MIN_OVERLAPS[measure.overlap][measure.name][metric]
    level, number = DIFFICULTIES.index(measure.difficulty), KITTI_CLASSES.index(measure.name)
    objects, hits, events = np.zeros(len(gt_annos), np.int64), [], []
    with kitti_eval_on_cpu(rotated_iou_bev) as module:
        overlaps = module.calculate_iou_partly(list(dt_annos), list(gt_annos), metric, len(gt_annos))[0]
        for i, (truth, found) in enumerate(zip(gt_annos, dt_annos, strict=True)):
            gts, dts, ignored_gt, ignored_dt, dontcare, _, _ = module._prepare_data([truth], [found], number, level)
            _ignore_other_depths(ignored_gt[0], truth, measure.depths)
            _ignore_other_depths(ignored_dt[0], found, measure.depths)
            arguments = (overlaps[i], gts[0], dts[0], ignored_gt[0], ignored_dt[0], dontcare[0], metric, min_overlap)
            objects[i] = np.count_nonzero(ignored_gt[0] == 0)
            hits += [(score, i) for score in module.compute_statistics_jit(*arguments, 0.0, False)[4]]
            events += [(score, i, *change) for score, *change in _changes(module, arguments, dts[0][:, -1])]
    hits.sort(key=lambda row: -row[0])
    events.sort(key=lambda row: -row[0])
    hit_table, table = np.array(hits).reshape(-1, 2), np.array(events).reshape(-1, 4)
    return Matches(
        objects,
        hit_table[:, 0].copy(),
        hit_table[:, 1].astype(np.int64),
        table[:, 0].copy(),
        *(table[:, column].astype(np.int64) for column in (1, 2, 3)),
    )


def average_precision(matches: Matches, weights: np.ndarray | None = None) -> float:
    """Return AP40 in percent when every frame counts ``weights`` times.

    Args:
        matches: Of :func:`match_frames`.
        weights: (F,) whole numbers, not negative; by default every frame once.

    Example:
        >>> one = np.array([1])
        >>> half = Matches(np.array([2]), np.array([0.9]), one - 1, np.array([0.9]), one - 1, one, one - 1)
        >>> average_precision(half, np.array([40]))
        50.0
    """
    if weights is None:
        weights = np.ones(len(matches.objects), np.int64)
    return float(
        _average_precision(
            matches.objects,
            matches.hit_score,
            matches.hit_frame,
            matches.score,
            matches.frame,
            matches.right,
            matches.wrong,
            np.asarray(weights, np.int64),
        )
    )


def _ignore_other_depths(ignored: np.ndarray, annos: KittiAnnos, depths: tuple[float, float] | None) -> None:
    if depths is not None and len(ignored):
        z = annos['location'][:, 2]
        ignored[(ignored == 0) & ~((z >= depths[0]) & (z < depths[1]))] = 1


def _changes(module: object, arguments: tuple, scores: np.ndarray) -> list[tuple[float, int, int]]:
    """How the true and false positives of a frame change as the threshold falls through its own scores."""
    changes, before = [], (0, 0)
    for score in np.unique(scores)[::-1]:
        counts = module.compute_statistics_jit(*arguments, score, True)  # type: ignore[attr-defined]
        now = (int(counts[0]), int(counts[1]))
        if now != before:
            changes.append((float(score), now[0] - before[0], now[1] - before[1]))
        before = now
    return changes


@numba.njit(cache=True)
def _average_precision(
    objects: Whole,
    hit_score: Real,
    hit_frame: Whole,
    score: Real,
    frame: Whole,
    right: Whole,
    wrong: Whole,
    weights: Whole,
) -> float:
    """AP40 by the arithmetic of KITTI's ``get_thresholds`` and precision curve, with multiplicities."""
    total, hits = 0, 0
    for f in range(len(objects)):
        total += objects[f] * weights[f]
    for k in range(len(hit_frame)):
        hits += weights[hit_frame[k]]
    precision = np.full(41, np.nan)
    recall, count, seen, event, true, false = 0.0, 0, 0, 0, 0, 0
    for k in range(len(hit_frame)):
        for _ in range(weights[hit_frame[k]]):
            seen += 1
            left = seen / total
            ahead = (seen + 1) / total if seen < hits else left
            if (ahead - recall < recall - left) and seen < hits:
                continue
            while event < len(score) and score[event] >= hit_score[k]:
                true += right[event] * weights[frame[event]]
                false += wrong[event] * weights[frame[event]]
                event += 1
            if true + false > 0 and count < 41:
                precision[count] = true / (true + false)
            count += 1
            recall += 1 / 40.0
    best, area = 0.0, 0.0
    for i in range(40, 0, -1):
        if precision[i] > best:
            best = precision[i]
        area += best
    return 100 * area / 40
