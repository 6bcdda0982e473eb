"""Teacher and annotations in one frame: heat that a teacher learns lies in the cells that the boxes fall into."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from centerpoint_models import build
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope

from mono_distill.datasets.transforms.bev_aug import move_boxes, world_matrix
from mono_distill.registry import DATASETS

CONFIG = Path(__file__).resolve().parents[3] / 'configs' / 'teachers' / 'centerpoint_tiny_nus.py'
STEPS = 160
CELL, LOW = 1.6, -51.2
# The window around a box in which the peak is looked for, cells.
REACH = 2
# What a cloud shows clearly, and centres that are not on the edge of a cell, where both cells would be right.
MIN_POINTS, MIN_MARGIN = 50, 0.25
AUGMENTATIONS = {
    'none': {},
    'mirrored x': dict(flip_x=1.0),
    'mirrored y': dict(flip_y=1.0),
    'turned': dict(rotate=(20.0, 20.0), scale=(1.05, 1.05)),
    'all': dict(rotate=(-15.0, -15.0), scale=(0.95, 0.95), flip_x=1.0, flip_y=1.0),
}


def load_frame(root):
    """A key-frame with sweeps and boxes, and the rest of the teacher's training pipeline, augmentation first."""
    config = Config.fromfile(CONFIG)
    loading, rest = config.points_train_pipeline[:2], config.points_train_pipeline[2:]
    assert rest[0].type == 'mono_distill.BEVGlobalAug'
    options = {**config.train_dataloader.dataset, 'data_root': str(root), 'pipeline': loading}
    return DATASETS.build(options)[0], rest


def heat_and_targets(model, sample):
    """Logits and targets of a packed sample, (classes, H, W) each; and what the preprocessor made of it."""
    data = model.data_preprocessor(pseudo_collate([sample]), model.training)
    instances = data['data_samples'][0].gt_instances_3d
    heatmaps = torch.cat(model.pts_bbox_head.heatmaps(model.extract_feat(data['inputs'])), dim=1)[0]
    return heatmaps, torch.cat(model.pts_bbox_head.get_targets([instances]).heatmaps, dim=1)[0], instances


def train(model, frame, pipeline):
    """Fit the heatmaps of one frame, augmented anew in every step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 8e-3, total_steps=STEPS, pct_start=0.2)
    model.train()
    for _ in range(STEPS):
        heat, target, _ = heat_and_targets(model, pipeline(dict(frame)))
        loss = model.pts_bbox_head.loss_cls(
            heat.sigmoid().clamp(1e-4, 1 - 1e-4), target, avg_factor=target.eq(1).sum() / len(target)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 35.0)
        optimizer.step()
        schedule.step()


def clearly_seen(boxes, points):
    """Which boxes hold enough points above the ground and have their centre well inside a cell of the map."""
    offset = points[None, :, :3] - boxes[:, None, :3]
    cosine, sine = boxes[:, 6:7].cos(), boxes[:, 6:7].sin()
    along = cosine * offset[..., 0] + sine * offset[..., 1]
    across = cosine * offset[..., 1] - sine * offset[..., 0]
    inside = (along.abs() <= boxes[:, 3:4] / 2) & (across.abs() <= boxes[:, 4:5] / 2)
    inside &= (offset[..., 2] >= 0.1) & (offset[..., 2] <= boxes[:, 5:6])
    cells = (boxes[:, :2] - LOW) / CELL
    margin = torch.minimum(cells.frac(), 1 - cells.frac()).amin(1)
    within = ((cells >= REACH) & (cells < 64 - REACH)).all(1)
    return (inside.sum(1) >= MIN_POINTS) & (margin > MIN_MARGIN) & within


@pytest.fixture(scope='module')
def seen(tiny_nuscenes):
    """By augmentation: probabilities and targets (classes, H, W), boxes and labels of the clearly seen objects."""
    torch.manual_seed(0)
    np.random.seed(0)
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        frame, steps = load_frame(tiny_nuscenes)
        model = build(Config.fromfile(CONFIG).model)
        train(model, frame, Compose(copy.deepcopy(steps)))
        model.eval()
        result = {}
        for name, options in AUGMENTATIONS.items():
            fixed = dict(rotate=(0.0, 0.0), scale=(1.0, 1.0), flip_x=0.0, flip_y=0.0)
            sample = Compose([{**steps[0], **fixed, **options}, *copy.deepcopy(steps[1:])])(dict(frame))
            with torch.no_grad():
                heat, target, instances = heat_and_targets(model, sample)
            boxes = instances.bboxes_3d.tensor
            chosen = clearly_seen(boxes, sample['inputs']['points'])
            result[name] = (heat.sigmoid(), target, boxes[chosen], instances.labels_3d[chosen])
    return result


def peaks_in_the_same_cell(heat, target, boxes, labels):
    """Per box: whether heat and target have their maximum of the window around its centre in the same cell."""
    same = []
    for (column, row), label in zip(((boxes[:, :2] - LOW) / CELL).long().tolist(), labels.tolist(), strict=True):
        window = (label, slice(row - REACH, row + REACH + 1), slice(column - REACH, column + REACH + 1))
        same.append(bool(heat[window].argmax() == target[window].argmax()))
    return same


def best_shift(heat, target):
    """By how many rows and columns the heat must be moved to look most like the target."""
    shifts = [(rows, columns) for rows in range(-2, 3) for columns in range(-2, 3)]
    return max(shifts, key=lambda shift: (heat.roll(shift, (1, 2)) * target).sum().item())


@pytest.mark.slow
@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_heat_of_the_teacher_and_of_the_boxes_match_without_a_shift(seen, name):
    heat, target, *_ = seen[name]
    assert best_shift(heat, target) == (0, 0)


def share_of_same_cells(seen, change=lambda heat, target, boxes: (heat, target, boxes)):
    """Over all augmentations, in how many of the clearly seen objects the peaks share a cell, and their number."""
    same = []
    for heat, target, boxes, labels in seen.values():
        same += peaks_in_the_same_cell(*change(heat, target, boxes), labels)
    return sum(same) / len(same), len(same)


@pytest.mark.slow
def test_heat_of_clearly_seen_objects_peaks_in_the_cell_of_their_box(seen):
    share, count = share_of_same_cells(seen)
    assert count >= 30
    assert share >= 0.8, share


@pytest.mark.slow
@pytest.mark.parametrize('shift', [(0, 1), (0, -1), (1, 0), (-1, 0)])
def test_a_map_that_is_one_cell_off_would_be_noticed(seen, shift):
    share, _ = share_of_same_cells(seen, lambda heat, target, boxes: (heat.roll(shift, (1, 2)), target, boxes))
    assert share < 0.2, share
    for heat, target, *_ in seen.values():
        assert best_shift(heat.roll(shift, (1, 2)), target) == (-shift[0], -shift[1])


@pytest.mark.slow
@pytest.mark.parametrize(('flip', 'axis'), [((True, False), 2), ((False, True), 1)])
def test_boxes_that_missed_a_flip_would_be_noticed(seen, flip, axis):
    matrix = world_matrix(flip=flip)
    share, _ = share_of_same_cells(
        seen, lambda heat, target, boxes: (heat, target.flip(axis), move_boxes(boxes, matrix))
    )
    assert share < 0.3, share
