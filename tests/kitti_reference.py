"""KITTI's average precision once more, in plain Python and shapely: slow, and independent of mmdet3d and numba.

Written from the rules of the benchmark's development kit (``evaluate_object.cpp``).
"""

from __future__ import annotations

import math

import numpy as np

MIN_HEIGHT = (40, 25, 25)
MAX_OCCLUSION = (0, 1, 2)
MAX_TRUNCATION = (0.15, 0.3, 0.5)
NEIGHBOUR = {'Car': 'Van', 'Pedestrian': 'Person_sitting'}
RECALL_STEPS = 40


def footprint(anno, i):
    from shapely.geometry import Polygon

    (x, _, z), (length, _, width), angle = anno['location'][i], anno['dimensions'][i], anno['rotation_y'][i]
    c, s = math.cos(angle), math.sin(angle)
    signs = [(1, 1), (1, -1), (-1, -1), (-1, 1)]
    corners = [(a * length / 2, b * width / 2) for a, b in signs]
    return Polygon([(x + c * a + s * b, z - s * a + c * b) for a, b in corners])


def overlap_2d(a, b, over_first=False):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area_a if over_first else area_a + area_b - width * height)


def overlaps_of(measure, dt, gt):
    """``[detection][object]`` overlaps of one frame."""
    rows = []
    for i in range(len(dt['name'])):
        row = []
        for j in range(len(gt['name'])):
            if measure == '2D':
                row.append(overlap_2d(dt['bbox'][i], gt['bbox'][j]))
                continue
            a, b = footprint(dt, i), footprint(gt, j)
            shared = a.intersection(b).area
            if measure == 'BEV':
                row.append(shared / (a.area + b.area - shared))
                continue
            bottom = min(dt['location'][i][1], gt['location'][j][1])
            top = max(dt['location'][i][1] - dt['dimensions'][i][1], gt['location'][j][1] - gt['dimensions'][j][1])
            shared *= max(bottom - top, 0)
            row.append(shared / (np.prod(dt['dimensions'][i]) + np.prod(gt['dimensions'][j]) - shared))
        rows.append(row)
    return rows


def roles_of_objects(gt, name, difficulty):
    """Per object: 'counted', 'ignored', or None for those that play no part."""
    roles = []
    for i, other in enumerate(gt['name']):
        hard = (
            gt['occluded'][i] > MAX_OCCLUSION[difficulty]
            or gt['truncated'][i] > MAX_TRUNCATION[difficulty]
            or gt['bbox'][i][3] - gt['bbox'][i][1] <= MIN_HEIGHT[difficulty]
        )
        if other == name:
            roles.append('ignored' if hard else 'counted')
        else:
            roles.append('ignored' if other == NEIGHBOUR.get(name) else None)
    return roles


def roles_of_detections(dt, name, difficulty):
    """Low detections are ignored whatever their class, as in the development kit."""
    roles = []
    for i, other in enumerate(dt['name']):
        if abs(dt['bbox'][i][3] - dt['bbox'][i][1]) < MIN_HEIGHT[difficulty]:
            roles.append('ignored')
        else:
            roles.append('counted' if other == name else None)
    return roles


def scores_of_true_positives(frame, minimum):
    """First pass: every object takes its best-scored detection; the scores of counted pairs sample the recall."""
    scores, taken = [], set()
    for j, role in enumerate(frame['objects']):
        if role is None:
            continue
        candidates = [
            i
            for i, detection in enumerate(frame['detections'])
            if detection is not None and i not in taken and frame['overlaps'][i][j] > minimum
        ]
        if not candidates:
            continue
        best = max(candidates, key=lambda i: frame['score'][i])
        taken.add(best)
        if role == 'counted' and frame['detections'][best] == 'counted':
            scores.append(frame['score'][best])
    return scores


def count_at(frame, minimum, threshold, dont_care):
    """Second pass: true and false positives and the sum of orientation similarities at one threshold."""
    alive = [i for i, role in enumerate(frame['detections']) if role is not None and frame['score'][i] >= threshold]
    taken, true, similarity = set(), 0, 0.0
    for j, role in enumerate(frame['objects']):
        if role is None:
            continue
        candidates = [i for i in alive if i not in taken and frame['overlaps'][i][j] > minimum]
        counted = [i for i in candidates if frame['detections'][i] == 'counted']
        ignored = [i for i in candidates if frame['detections'][i] == 'ignored']
        if counted:
            match = max(counted, key=lambda i: frame['overlaps'][i][j])
        elif ignored:
            match = ignored[0]
        else:
            continue
        taken.add(match)
        if role == 'counted' and frame['detections'][match] == 'counted':
            true += 1
            similarity += (1 + math.cos(frame['gt_alpha'][j] - frame['dt_alpha'][match])) / 2
    left = [i for i in alive if frame['detections'][i] == 'counted' and i not in taken]
    if dont_care:
        left = [i for i in left if not any(overlap_2d(frame['bbox'][i], r, True) > minimum for r in frame['regions'])]
    return true, len(left), similarity


def sampled_thresholds(scores, num_objects):
    """The scores at which recall is nearest to 0, 1/40, 2/40, ..."""
    scores = sorted(scores, reverse=True)
    thresholds, recall = [], 0.0
    for i, score in enumerate(scores):
        left = (i + 1) / num_objects
        last = i == len(scores) - 1
        if not last and (i + 2) / num_objects - recall < recall - left:
            continue
        thresholds.append(score)
        recall += 1 / RECALL_STEPS
    return thresholds


def overlaps_by_measure(gt_annos, dt_annos):
    """Overlaps of all frames for 2D, BEV and 3D: the slow part, shared by all classes and difficulties."""
    pairs = list(zip(gt_annos, dt_annos, strict=True))
    return {measure: [overlaps_of(measure, dt, gt) for gt, dt in pairs] for measure in ('2D', 'BEV', '3D')}


def average_precision(gt_annos, dt_annos, overlaps, name, difficulty, measure, minimum):
    """``{'AP11': ..., 'AP40': ...}`` in percent; measure is 2D, AOS, BEV or 3D."""
    frames = []
    overlaps = overlaps['2D' if measure == 'AOS' else measure]
    for gt, dt, frame_overlaps in zip(gt_annos, dt_annos, overlaps, strict=True):
        frames.append(
            {
                'objects': roles_of_objects(gt, name, difficulty),
                'detections': roles_of_detections(dt, name, difficulty),
                'overlaps': frame_overlaps,
                'score': dt['score'],
                'gt_alpha': gt['alpha'],
                'dt_alpha': dt['alpha'],
                'bbox': dt['bbox'],
                'regions': [box for box, other in zip(gt['bbox'], gt['name'], strict=True) if other == 'DontCare'],
            }
        )
    num_objects = sum(frame['objects'].count('counted') for frame in frames)
    scores = [score for frame in frames for score in scores_of_true_positives(frame, minimum)]
    curve = []
    for threshold in sampled_thresholds(scores, num_objects):
        counts = [count_at(frame, minimum, threshold, measure in ('2D', 'AOS')) for frame in frames]
        true, false, similarity = (sum(column) for column in zip(*counts, strict=True))
        curve.append((similarity if measure == 'AOS' else true) / (true + false))
    curve = [max(curve[i:]) for i in range(len(curve))]
    curve += [0.0] * (RECALL_STEPS + 1 - len(curve))
    return {'AP11': 100 * sum(curve[::4]) / 11, 'AP40': 100 * sum(curve[1:]) / 40}
