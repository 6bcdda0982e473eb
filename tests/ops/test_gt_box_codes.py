"""Tests of mono_distill.ops.gt_box_codes."""

import math

import pytest
import torch
from bevformer_models import annotated
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes

from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.utils.errors import DataError


def test_codes_are_those_of_the_boxes():
    samples = annotated((3, 1))
    targets = gt_box_codes(samples)
    assert targets['mask'].tolist() == [[True, True, True], [True, False, False]]
    for b, sample in enumerate(samples):
        boxes, labels = sample.gt_instances_3d.bboxes_3d, sample.gt_instances_3d.labels_3d
        for n, (x, y, bottom, dx, dy, dz, yaw, vx, vy) in enumerate(boxes.tensor.tolist()):
            expected = [x, y, math.log(dx), math.log(dy), bottom + dz / 2, math.log(dz)]
            expected += [math.sin(yaw), math.cos(yaw), vx, vy]
            torch.testing.assert_close(targets['codes'][b, n], torch.tensor(expected))
            assert targets['labels'][b, n] == labels[n]


def test_without_objects_there_is_an_empty_slot():
    targets = gt_box_codes(annotated((0, 0)))
    assert targets['mask'].tolist() == [[False], [False]]
    assert targets['codes'].isfinite().all()
    assert (targets['labels'] == 0).all()


def test_objects_without_a_class_do_not_count():
    samples = annotated((2, 2))
    samples[0].gt_instances_3d.labels_3d[1] = -1
    assert gt_box_codes(samples)['mask'].tolist() == [[True, False], [True, True]]


def test_a_missing_velocity_is_not_a_number():
    samples = annotated((2,))
    instances = samples[0].gt_instances_3d
    instances.bboxes_3d = LiDARInstance3DBoxes(instances.bboxes_3d.tensor[:, :7])
    codes = gt_box_codes(samples)['codes']
    assert codes[..., 8:].isnan().all()
    assert codes[..., :8].isfinite().all()


def test_a_sample_without_annotations_is_named():
    with pytest.raises(DataError, match='sample x7 has no gt_instances_3d .* LoadAnnotations3D'):
        gt_box_codes([Det3DDataSample(metainfo=dict(token='x7'))])
