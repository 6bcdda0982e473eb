"""Anchors are assigned as by mmdet3d's assigner, without its loops."""

import math

import pytest
import torch
from mmdet3d.models.task_modules.assigners import Max3DIoUAssigner
from mmengine.structures import InstanceData

from mono_distill.models.dense_heads.anchor_targets import anchor_targets, nearest_overlaps, padded_objects

THRESHOLDS = [(0.6, 0.45), (0.5, 0.35), (0.5, 0.35)]
SIZES = [(3.9, 1.6, 1.56), (0.8, 0.6, 1.73), (1.76, 0.6, 1.73)]


def grid_anchors(rows=20, columns=24):
    anchors = torch.zeros(rows, columns, 3, 2, 7)
    anchors[..., 0] = torch.linspace(2, 20, columns).view(1, -1, 1, 1)
    anchors[..., 1] = torch.linspace(-8, 8, rows).view(-1, 1, 1, 1)
    for label, size in enumerate(SIZES):
        anchors[:, :, label, :, 3:6] = torch.tensor(size)
    anchors[..., 1, 6] = 1.57
    return anchors.view(-1, 3, 2, 7)


def random_objects(seed, count):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    boxes = torch.zeros(count, 7)
    boxes[:, :2] = torch.rand(count, 2, generator=generator) * torch.tensor([18.0, 16]) + torch.tensor([2.0, -8])
    boxes[:, 2] = -1.5
    scale = 0.8 + 0.4 * torch.rand(count, 3, generator=generator)
    boxes[:, 3:6] = torch.tensor(SIZES)[labels] * scale
    boxes[:, 6] = (torch.rand(count, generator=generator) - 0.5) * 8
    return boxes, labels


def by_mmdet3d(anchors, boxes, labels):
    """Labels (-1 where the classification is not asked) and boxes of all anchors, class by class."""
    found = torch.full((len(anchors), 3, 2), 3)
    matched = torch.zeros(len(anchors), 3, 2, 7)
    for label, (upper, lower) in enumerate(THRESHOLDS):
        assigner = Max3DIoUAssigner(
            pos_iou_thr=upper,
            neg_iou_thr=lower,
            min_pos_iou=lower,
            iou_calculator=dict(type='mmdet3d.BboxOverlapsNearest3D'),
        )
        own = labels == label
        if not own.any():
            continue
        flat = anchors[:, label].reshape(-1, 7)
        result = assigner.assign(
            InstanceData(priors=flat), InstanceData(bboxes_3d=boxes[own], labels_3d=labels[own])
        ).gt_inds.view(-1, 2)
        found[:, label][result > 0] = label
        found[:, label][result < 0] = -1
        matched[:, label][result > 0] = boxes[own][result[result > 0] - 1]
    return found.flatten(), matched.view(-1, 7)


@pytest.mark.parametrize('count', [0, 1, 5, 30])
def test_parity_with_mmdet3d(count):
    anchors = grid_anchors()
    objects = [random_objects(seed, count if seed else max(count - 1, 0)) for seed in range(4)]
    instances = [InstanceData(bboxes_3d=boxes, labels_3d=labels) for boxes, labels in objects]
    targets = anchor_targets(anchors, *padded_objects(instances, torch.device('cpu')), thresholds=THRESHOLDS)
    for sample, (boxes, labels) in enumerate(objects):
        expected, matched = by_mmdet3d(anchors, boxes, labels)
        found = torch.where(targets.counted[sample], targets.labels[sample], -1)
        assert torch.equal(found, expected)
        positive = targets.positive[sample]
        assert positive.sum() >= (count > 1)
        torch.testing.assert_close(targets.boxes[sample][positive], matched[positive])


def test_an_object_between_the_thresholds_keeps_its_best_anchor_and_the_next_is_not_asked():
    anchors = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0], [0.5, 0, 0, 4, 2, 1, 0], [9.0, 0, 0, 4, 2, 1, 0]]).view(3, 1, 1, 7)
    # Moved sideways by 0.7 m: IoU 4 * 1.3 / (16 - 5.2) = 0.48 with the first, 3.5 * 1.3 / (16 - 4.55) = 0.40 next.
    box = torch.tensor([[[0.0, 0.7, 0, 4, 2, 1, 0]]])
    targets = anchor_targets(anchors, box, torch.zeros(1, 1, dtype=torch.long), thresholds=[(0.6, 0.35)])
    assert targets.positive.tolist() == [[True, False, False]]
    assert targets.counted.tolist() == [[True, False, True]]
    assert targets.labels.tolist() == [[0, 1, 1]]


def test_overlaps_are_those_of_boxes_turned_to_the_nearest_axis():
    lying = torch.tensor([[0.0, 0, 0, 4, 2, 1, 0]])
    turned = torch.tensor([[[0.0, 0, 0, 4, 2, 1, 0.7], [0.0, 0, 0, 4, 2, 1, 0.9], [0.0, 0, 0, 4, 2, 1, math.pi - 0.1]]])
    # Half standing, a box of 2 x 4 shares 2 x 2 with one of 4 x 2.
    torch.testing.assert_close(nearest_overlaps(lying, turned), torch.tensor([[[1.0, 4 / 12, 1.0]]]))


def test_padding_is_no_object():
    instances = [
        InstanceData(bboxes_3d=torch.zeros(0, 7), labels_3d=torch.zeros(0, dtype=torch.long)),
        InstanceData(bboxes_3d=torch.ones(2, 9), labels_3d=torch.tensor([2, 0])),
    ]
    boxes, labels = padded_objects(instances, torch.device('cpu'))
    assert boxes.shape == (2, 2, 7)
    assert labels.tolist() == [[-1, -1], [2, 0]]
