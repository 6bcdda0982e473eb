"""Tests of mono_distill.targets.center_predictions."""

import math

import pytest
import torch

from mono_distill.ops.box_code import decode_box_code
from mono_distill.targets.center_predictions import CenterPredictions, center_predictions
from mono_distill.utils.errors import ConfigError, ShapeError

RANGES = dict(x_range=(-8.0, 8.0), y_range=(-4.0, 4.0))
TASKS = (1, 2, 1)
CHANNELS = dict(reg=2, height=1, dim=3, rot=2, vel=2)


def heads(batch=2, size=(6, 8)):
    torch.manual_seed(0)
    return [
        {name: torch.randn(batch, count, *size) for name, count in dict(heatmap=classes, **CHANNELS).items()}
        for classes in TASKS
    ]


def literal(tasks, b, score_thr):
    """All peaks of an image in loops: score, class, box."""
    found, offset = [], 0
    for task in tasks:
        heat = task['heatmap'][b].sigmoid()
        classes, height, width = heat.shape
        for c in range(classes):
            for row in range(height):
                for column in range(width):
                    around = heat[c, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
                    score = heat[c, row, column]
                    if score < around.max() or score < score_thr:
                        continue
                    maps = {name: task[name][b, :, row, column].tolist() for name in CHANNELS}
                    x = -8.0 + (column + maps['reg'][0]) * 16.0 / width
                    y = -4.0 + (row + maps['reg'][1]) * 8.0 / height
                    yaw = math.atan2(maps['rot'][0], maps['rot'][1])
                    box = [x, y, *maps['height'], *(math.exp(side) for side in maps['dim']), yaw, *maps['vel']]
                    logits = [float(value) for other in tasks for value in other['heatmap'][b, :, row, column]]
                    found.append((float(score), offset + c, box, logits))
        offset += classes
    return sorted(found, key=lambda entry: -entry[0])


@pytest.mark.parametrize('wrapped', [False, True])
def test_peaks_are_those_of_the_heatmaps(wrapped):
    tasks = heads()
    found = center_predictions(tuple([task] for task in tasks) if wrapped else tasks, **RANGES, topk=60, score_thr=0.3)
    assert found['logits'].shape == (2, 60, 4)
    for b in range(2):
        expected = literal(tasks, b, 0.3)
        assert int(found['valid'][b].sum()) == len(expected)
        boxes = decode_box_code(found['boxes'][b])
        for slot, (score, label, box, logits) in enumerate(expected):
            assert float(found['scores'][b, slot]) == pytest.approx(score, abs=1e-6)
            assert int(found['labels'][b, slot]) == label
            torch.testing.assert_close(boxes[slot], torch.tensor(box), rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(found['logits'][b, slot], torch.tensor(logits))
        torch.testing.assert_close(found['points'][b], found['boxes'][b, :, :2])


def test_the_direction_has_length_one():
    found = center_predictions(heads(), **RANGES, topk=9)
    torch.testing.assert_close(found['boxes'][..., 6:8].norm(dim=-1), torch.ones(2, 9))


def test_sizes_in_metres_are_possible():
    tasks = heads()
    metres = [{**task, 'dim': task['dim'].exp()} for task in tasks]
    plain, other = (center_predictions(x, **RANGES, topk=5, log_sizes=x is tasks) for x in (tasks, metres))
    torch.testing.assert_close(plain['boxes'], other['boxes'])


def test_heads_without_velocity_give_eight_entries():
    tasks = [{name: value for name, value in task.items() if name != 'vel'} for task in heads()]
    assert center_predictions(tasks, **RANGES)['boxes'].shape[-1] == 8


def test_the_number_of_slots_does_not_depend_on_what_is_found():
    tasks = [{**task, 'heatmap': task['heatmap'] - 20} for task in heads()]
    found = CenterPredictions(**RANGES, topk=7)(tasks)
    assert found['valid'].shape == (2, 7)
    assert not found['valid'].any()
    assert found['boxes'].isfinite().all()


def test_mistakes_are_named():
    with pytest.raises(ConfigError, match='topk must be positive and score_thr a probability, got 0 and 0.05'):
        CenterPredictions(**RANGES, topk=0)
    with pytest.raises(ConfigError, match='y_range'):
        CenterPredictions(x_range=(0, 1), y_range=(1, 0))
    tasks = heads()
    with pytest.raises(ConfigError, match="task 1: needs 'rot'"):
        center_predictions([tasks[0], {k: v for k, v in tasks[1].items() if k != 'rot'}], **RANGES)
    with pytest.raises(ShapeError, match="task 2: 'heatmap' has shape"):
        center_predictions([*tasks[:2], *heads(size=(5, 8))[2:]], **RANGES)
