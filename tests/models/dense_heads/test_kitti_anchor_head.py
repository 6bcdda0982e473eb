"""The head of teacher, assistant and student: mmdet3d's Anchor3DHead, for whole batches and unlabelled frames."""

import copy
import math

import pytest
import torch
from kitti_bev_samples import CONFIGS
from mmdet3d.models.dense_heads import Anchor3DHead
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from mono_distill.models.dense_heads import KittiAnchorHead
from mono_distill.utils.errors import ConfigError

# Cells of 0.64 m, and the published ones of 0.32 m; at the coarse ones a cyclist may have no anchor.
SIZE, FINE = (94, 70), (188, 140)
CARS = [
    [12.0, 1.5, -1.7, 3.9, 1.6, 1.5, 0.3],
    [20.0, -4.0, -1.6, 4.2, 1.7, 1.6, -2.9],
    [30.0, 9.0, -1.6, 4, 1.7, 1.6, 1.5],
]
OTHERS = [[8.0, -3.0, -0.6, 0.8, 0.6, 1.7, 2.2], [16.0, 6.0, -0.6, 1.7, 0.6, 1.7, -0.8]]

pytestmark = pytest.mark.filterwarnings('ignore:dir_offset and dir_limit_offset')


def options(**changes):
    base = Config.fromfile(CONFIGS / '_base_/models/bev_head_kitti.py').bev_head.to_dict()
    return {**base, 'in_channels': 8, **changes}


def head(**changes):
    settings = options(**changes)
    settings.pop('type')
    model = KittiAnchorHead(**settings)
    model.init_weights()
    return model


def core_head():
    """mmdet3d's own head with the same anchors, thresholds and weights."""
    settings = options()
    thresholds = settings.pop('iou_thresholds')
    settings.pop('type')
    settings['anchor_generator']['reshape_out'] = False
    assigners = [
        dict(
            type='Max3DIoUAssigner',
            iou_calculator=dict(type='mmdet3d.BboxOverlapsNearest3D'),
            pos_iou_thr=upper,
            neg_iou_thr=lower,
            min_pos_iou=lower,
            ignore_iof_thr=-1,
        )
        for upper, lower in thresholds
    ]
    train_cfg = ConfigDict(assigner=assigners, allowed_border=0, pos_weight=-1, debug=False)
    return Anchor3DHead(feat_channels=8, assign_per_class=True, train_cfg=train_cfg, **{**settings, 'test_cfg': None})


def sample(boxes, labels, **meta):
    instances = InstanceData(
        bboxes_3d=LiDARInstance3DBoxes(torch.tensor(boxes).reshape(-1, 7)),
        labels_3d=torch.tensor(labels, dtype=torch.long),
    )
    return Det3DDataSample(gt_instances_3d=instances, metainfo=dict(box_type_3d=LiDARInstance3DBoxes, **meta))


def samples():
    return [sample(CARS + OTHERS, [0, 0, 0, 1, 2]), sample([], []), sample(OTHERS, [1, 2])]


def test_losses_are_those_of_mmdet3d():
    ours, theirs = head(), core_head()
    theirs.load_state_dict(ours.state_dict())
    features = torch.randn(3, 8, *SIZE)
    found = ours.loss([features], samples())
    expected = theirs.loss([features], samples())
    assert found.keys() == expected.keys()
    for name, (value,) in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    sum(found.values()).backward()
    sum(value for (value,) in expected.values()).backward()
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-4, atol=1e-6, msg=name)


def outputs_that_say(model, truth):
    """Raw maps whose positive anchors state their objects exactly."""
    from mmdet3d.models.dense_heads.train_mixins import get_direction_target

    from mono_distill.models.dense_heads.anchor_targets import anchor_targets, padded_objects

    anchors = model.anchors(FINE, torch.device('cpu'))
    targets = anchor_targets(
        anchors, *padded_objects([truth.gt_instances_3d], torch.device('cpu')), thresholds=model.iou_thresholds
    )
    flat, positive = anchors.reshape(-1, 7), targets.positive[0]
    codes = torch.where(positive[:, None], model.bbox_coder.encode(flat, targets.boxes[0]), 0)
    bins = get_direction_target(flat, codes, model.dir_offset, model.dir_limit_offset, one_hot=False)
    scores = torch.full((len(flat), 3), -9.0)
    scores[positive] = scores[positive].scatter(1, targets.labels[0][positive][:, None], 5.0)
    directions = torch.nn.functional.one_hot(bins, 2).float() * 9
    return [[x.view(*FINE, -1).permute(2, 0, 1)[None]] for x in (scores, codes, directions)]


def test_annotations_come_back_from_the_code_of_anchors_and_directions():
    model, truth = head(), sample(CARS + OTHERS, [0, 0, 0, 1, 2])
    (found,) = model.predict_by_feat(*outputs_that_say(model, truth), batch_input_metas=[truth.metainfo])
    assert len(found) == 5
    for box, label in zip(torch.tensor(CARS + OTHERS), (0, 0, 0, 1, 2), strict=True):
        boxes = found.bboxes_3d.tensor[found.labels_3d == label]
        nearest = boxes[(boxes[:, :3] - box[:3]).norm(dim=1).argmin()]
        torch.testing.assert_close(nearest[:6], box[:6], atol=1e-4, rtol=0)
        # Headings are directions: none comes back turned by half a circle.
        assert math.cos(nearest[6] - box[6]) == pytest.approx(1, abs=1e-6)


def test_the_losses_of_exact_outputs_vanish():
    model, truth = head(), sample(CARS + OTHERS, [0, 0, 0, 1, 2])
    losses = model.loss_by_feat(*outputs_that_say(model, truth), [truth.gt_instances_3d], [truth.metainfo])
    assert losses['loss_bbox'] < 1e-4
    assert losses['loss_dir'] < 1e-3
    assert losses['loss_cls'] < 0.05


def test_unlabelled_samples_do_not_count():
    model, features = head(), torch.randn(2, 8, *SIZE)
    labelled = sample(CARS, [0, 0, 0])
    mixed = model.loss([features], [labelled, sample([], [], labelled=False)])
    alone = model.loss([features[:1]], [labelled])
    for name, value in alone.items():
        torch.testing.assert_close(mixed[name], value)
    nothing = model.loss([features[:1].requires_grad_()], [sample([], [], labelled=False)])
    assert sum(nothing.values()) == 0
    assert sum(nothing.values()).requires_grad


def test_frames_without_objects_teach_the_background():
    losses = head().loss([torch.randn(1, 8, *SIZE)], [sample([], [])])
    assert losses['loss_cls'] > 0
    assert losses['loss_bbox'] == losses['loss_dir'] == 0


def test_annotations_are_still_boxes_after_a_step():
    batch = samples()
    before = copy.deepcopy(batch)
    head().loss([torch.randn(3, 8, *SIZE)], batch)
    for old, new in zip(before, batch, strict=True):
        assert isinstance(new.gt_instances_3d.bboxes_3d, LiDARInstance3DBoxes)
        torch.testing.assert_close(new.gt_instances_3d.bboxes_3d.tensor, old.gt_instances_3d.bboxes_3d.tensor)


def test_the_published_head_has_36936_parameters():
    assert sum(p.numel() for p in head(in_channels=512).parameters()) == 36_936


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_classes=2), '2 classes'),
        (dict(iou_thresholds=[(0.6, 0.45)]), r'iou_thresholds \(1\)'),
        (dict(iou_thresholds=[(0.4, 0.6)] * 3), 'positive from'),
        (dict(loss_cls=dict(type='mmdet.CrossEntropyLoss')), 'use_sigmoid'),
        (dict(use_direction_classifier=False), 'use_direction_classifier'),
    ],
)
def test_options_that_do_not_fit(changes, message):
    with pytest.raises(ConfigError, match=message):
        head(**changes)
