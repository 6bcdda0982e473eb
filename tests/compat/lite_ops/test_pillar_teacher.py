"""A LiDAR teacher of mmdet3d trains and predicts on top of the lite ops: voxelisation, heads, rotated suppression."""

from __future__ import annotations

import math

import pytest
import torch
from mmengine.hub import get_config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')

LOWER, UPPER = [0, -8, -3], [16, 8, 1]


def small_pointpillars():
    """PointPillars for cars on 16 m x 16 m, with two thin stages."""
    config = get_config('mmdet3d::pointpillars/pointpillars_hv_secfpn_8xb6-160e_kitti-3d-car.py').model
    config.data_preprocessor.voxel_layer.update(point_cloud_range=LOWER + UPPER, voxel_size=[0.25, 0.25, 4])
    config.voxel_encoder.update(point_cloud_range=LOWER + UPPER, voxel_size=[0.25, 0.25, 4])
    config.middle_encoder.update(output_shape=[64, 64])
    config.backbone.update(layer_nums=[1, 1], layer_strides=[2, 2], out_channels=[16, 16])
    config.neck.update(in_channels=[16, 16], out_channels=[16, 16], upsample_strides=[1, 2])
    config.bbox_head.update(in_channels=32, feat_channels=32)
    config.bbox_head.anchor_generator.ranges = [[0, -8, -1.78, 16, 8, -1.78]]
    config.test_cfg.update(score_thr=0.0, nms_pre=200, max_num=20)
    return config


@pytest.fixture(scope='module')
def teacher():
    import mmdet3d.models  # noqa: F401  (registers)
    from mmdet3d.registry import MODELS

    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet3d'):
        yield MODELS.build(small_pointpillars())


@pytest.fixture
def batch():
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes

    span = torch.tensor(UPPER) - torch.tensor(LOWER)
    points = torch.cat([torch.rand(3000, 3) * span + torch.tensor(LOWER), torch.rand(3000, 1)], 1)
    boxes = LiDARInstance3DBoxes(torch.tensor([[8.0, 0, -1, 4, 1.6, 1.5, 0.4]]))
    sample = Det3DDataSample(gt_instances_3d=InstanceData(bboxes_3d=boxes, labels_3d=torch.tensor([0])))
    sample.set_metainfo({'box_type_3d': LiDARInstance3DBoxes})
    return {'inputs': {'points': [points]}, 'data_samples': [sample]}


def test_teacher_trains(teacher, batch):
    losses = teacher.train()(**teacher.data_preprocessor(batch, True), mode='loss')
    total = sum(sum(terms) for terms in losses.values())
    total.backward()
    assert math.isfinite(total.item())
    assert teacher.voxel_encoder.pfn_layers[0].linear.weight.grad.abs().sum() > 0


def test_teacher_predicts_boxes_that_do_not_overlap(teacher, batch):
    with torch.no_grad():
        (sample,) = teacher.eval()(**teacher.data_preprocessor(batch, False), mode='predict')
    boxes = sample.pred_instances_3d.bboxes_3d
    assert 1 < len(boxes) <= 20
    from mono_distill.compat.lite_ops.box_iou_rotated import rotated_overlaps

    overlaps = rotated_overlaps(boxes.bev, boxes.bev) - torch.eye(len(boxes))
    assert overlaps.max() <= 0.01 + 1e-6  # the threshold of the config
