"""KITTI average precision (2D, BEV, 3D, orientation) on any machine."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from mono_distill.compat.kitti_eval import kitti_eval_on_cpu
from mono_distill.ops import rotated_iou_bev
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

KittiAnnos = dict[str, np.ndarray]
"""One frame as mmdet3d's evaluation wants it, a row per object: ``name``, ``truncated``, ``occluded``, ``alpha``,
``bbox`` (x1, y1, x2, y2 in pixels), ``dimensions`` (l, h, w), ``location`` (of the bottom centre), ``rotation_y`` and
``score``; in metres and radians, in camera coordinates."""

DIFFICULTIES = ('easy', 'moderate', 'hard')
MEASURES = ('2D', 'AOS', 'BEV', '3D')
RECALL_SAMPLES = {'AP11': slice(0, None, 4), 'AP40': slice(1, None)}  # of the 41 recalls 0, 1/40, ..., 1

# The overlaps that count as a detection, as mmdet3d names them. 'loose' changes BEV and 3D only.
MIN_OVERLAPS = {
    'strict': {'Car': (0.7, 0.7, 0.7), 'Pedestrian': (0.5, 0.5, 0.5), 'Cyclist': (0.5, 0.5, 0.5)},
    'loose': {'Car': (0.7, 0.5, 0.5), 'Pedestrian': (0.5, 0.25, 0.25), 'Cyclist': (0.5, 0.25, 0.25)},
}
KITTI_CLASSES = ('Car', 'Pedestrian', 'Cyclist')  # mmdet3d's class numbers


def kitti_eval(
    gt_annos: Sequence[KittiAnnos],
    dt_annos: Sequence[KittiAnnos],
    classes: Sequence[str] = ('Pedestrian', 'Car', 'Cyclist'),
) -> dict[str, float]:
    """Score detections with mmdet3d's KITTI evaluation, one image at a time.

    mmdet3d's ``kitti_eval`` cuts the data into 200 blocks and computes the overlap of all boxes of a block, across
    images; it fails where the last block comes out empty (398 images, say) and leaves the orientation score out of
    its numbers. Here a block is one image. The numbers are the same.

    AP is the mean of the interpolated precision at 40 recalls (1/40, ..., 1; AP40, the benchmark's since 2019) or at
    11 (0, 0.1, ..., 1; AP11). Recall is sampled at true positives, so fewer than 41 objects of a class and difficulty
    cannot reach 100: n of them, all found, score AP40 = 100 (n - 1) / 40.

    Args:
        gt_annos: Ground truth of every image, with DontCare regions and the classes that are not evaluated (a Car
            detection on a Van, a Pedestrian detection on a Person_sitting is no false positive).
        dt_annos: Detections of the same images, in the same order.
        classes: Evaluated classes, from ``Car``, ``Pedestrian`` and ``Cyclist``.

    Returns:
        Percentages by name: ``{class}_{2D|AOS|BEV|3D}_{AP11|AP40}_{easy|moderate|hard}_{strict|loose}``, and for
        several classes their mean at strict overlaps, ``Overall_{2D|AOS|BEV|3D}_{AP11|AP40}_{easy|moderate|hard}``.
        ``strict`` is an IoU above 0.7 (Car) or 0.5; ``loose`` 0.5 or 0.25 in BEV and 3D, and the same as ``strict`` in
        2D and AOS (as in mmdet3d). A class without ground truth scores 0.

    Raises:
        DataError: If the two sequences differ in length.
        ConfigError: If a class is none of KITTI's three.
    """
    if len(gt_annos) != len(dt_annos):
        raise DataError(
            f'{len(gt_annos)} frames of ground truth cannot be compared with {len(dt_annos)} of detections.'
        )
    check_classes(classes)
    curves = _precision_curves(gt_annos, dt_annos, classes)
    scores: dict[str, float] = {}
    for recalls, measure in itertools.product(RECALL_SAMPLES, MEASURES):
        # (classes, difficulties, strict and loose)
        percent = 100 * curves[measure][..., RECALL_SAMPLES[recalls]].mean(axis=-1)
        for c, d, o in np.ndindex(percent.shape):
            name = f'{classes[c]}_{measure}_{recalls}_{DIFFICULTIES[d]}_{list(MIN_OVERLAPS)[o]}'
            scores[name] = float(percent[c, d, o])
        if len(classes) > 1:
            for d, difficulty in enumerate(DIFFICULTIES):
                scores[f'Overall_{measure}_{recalls}_{difficulty}'] = float(percent[:, d, 0].mean())
    return scores


def check_classes(classes: Sequence[str]) -> None:
    """Raise a ConfigError unless every class is one that KITTI evaluates, and at least one is given."""
    if not classes:
        raise ConfigError(f'no class to evaluate: name some of {", ".join(KITTI_CLASSES)}.')
    for name in classes:
        if name not in KITTI_CLASSES:
            raise ConfigError(f'KITTI does not evaluate the class {name!r}; {did_you_mean(name, KITTI_CLASSES)}')


def _precision_curves(
    gt_annos: Sequence[KittiAnnos], dt_annos: Sequence[KittiAnnos], classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """Interpolated precision (orientation similarity for AOS) at 41 recalls: (classes, difficulties, overlaps, 41)."""
    if not gt_annos:
        return {measure: np.zeros((len(classes), len(DIFFICULTIES), len(MIN_OVERLAPS), 41)) for measure in MEASURES}
    overlaps = np.array([[by_class[name] for name in classes] for by_class in MIN_OVERLAPS.values()]).transpose(0, 2, 1)
    curves = {}
    with kitti_eval_on_cpu(rotated_iou_bev) as mmdet3d_eval, np.errstate(invalid='ignore'):
        for metric, measure in enumerate(('2D', 'BEV', '3D')):
            result = mmdet3d_eval.eval_class(
                list(gt_annos),
                list(dt_annos),
                [KITTI_CLASSES.index(name) for name in classes],
                list(range(len(DIFFICULTIES))),
                metric,
                # The 2D overlaps of strict and loose are the same: evaluate once.
                overlaps[:1] if measure == '2D' else overlaps,
                compute_aos=measure == '2D',
                num_parts=len(gt_annos),
            )
            curves[measure] = result['precision']
            if measure == '2D':
                curves['2D'] = result['precision'].repeat(2, axis=2)
                curves['AOS'] = result['orientation'].repeat(2, axis=2)
    return {measure: _without_nan(curve) for measure, curve in curves.items()}


def _without_nan(curve: np.ndarray) -> np.ndarray:
    """Replace 0 / 0 by the best precision at a higher recall.

    It arises at a threshold above which every detection lies on an ignored object or region: no true and no false
    positive. The curve is an envelope already (each value is the maximum of those to its right), so the maximum from
    the right that skips NaN changes nothing else; a NaN at the very end becomes 0.
    """
    return np.nan_to_num(np.fmax.accumulate(curve[..., ::-1], axis=-1)[..., ::-1])
