"""LiDAR teachers on the student's grid."""

import copy

import pytest
import torch
from kitti_bev_samples import bev_batch, prepared, tiny_model
from mmdet3d.structures import LiDARInstance3DBoxes
from mmengine.config import ConfigDict

from mono_distill.utils.errors import ConfigError, DataError, ShapeError

NAME = 'teachers/pointpillars_tiny_bev_kitti'
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


@pytest.fixture(scope='module')
def teacher():
    return tiny_model(NAME)


def test_it_trains(teacher):
    losses = teacher.train()(**prepared(teacher, bev_batch(2)), mode='loss')
    assert set(losses) == {'loss_cls', 'loss_bbox', 'loss_dir'}
    sum(losses.values()).backward()
    assert teacher.voxel_encoder.pfn_layers[0].linear.weight.grad.abs().sum() > 0


def test_its_features_are_rectified_and_on_the_grid(teacher):
    assert set(tiny_model(NAME).distill_outputs()) == {'bev', 'bev_features'}
    teacher.eval()(**prepared(teacher, bev_batch(2), False), mode='tensor')
    outputs = teacher.distill_outputs()
    assert outputs['bev'].shape == (2, 32, 94, 70)
    assert outputs['bev'].min() >= 0
    assert outputs['bev_features'].shape == (2, 64, 94, 70)


def test_rows_are_y_and_columns_are_x(teacher):
    """A car in front of the left of the LiDAR fills cells of large y and small x."""
    batch = bev_batch(1)
    spot = torch.tensor([[8.0, 20.0, -1.0, 0.5]]) + 0.3 * torch.rand(200, 4)
    batch['inputs']['points'] = [spot]
    encoder = teacher.eval().middle_encoder
    seen = {}
    hook = encoder.register_forward_hook(lambda module, args, output: seen.update(map=output))
    teacher(**prepared(teacher, batch, False), mode='tensor')
    hook.remove()
    rows, columns = seen['map'][0].abs().sum(0).nonzero().T
    # Pillars of 0.32 m from y = -30.08 and x = 2.
    assert set(rows.tolist()) <= {156, 157, 158}
    assert set(columns.tolist()) <= {18, 19, 20}


def test_half_precision_keeps_the_places_of_points_in_full(teacher):
    seen = []
    hook = teacher.eval().voxel_encoder.register_forward_hook(lambda module, args, output: seen.append(output))
    inputs = prepared(teacher, bev_batch(1), False)
    with torch.no_grad():
        # mmdet3d's encoder writes into the voxels that it is given.
        teacher(**copy.deepcopy(inputs), mode='tensor')
        with torch.autocast('cpu', dtype=torch.bfloat16):
            teacher(**inputs, mode='tensor')
    hook.remove()
    assert torch.equal(seen[0], seen[1])
    assert teacher.distill_outputs()['bev_features'].dtype == torch.bfloat16


def test_samples_without_points_are_empty(teacher):
    batch = bev_batch(2)
    batch['inputs']['points'][1] = torch.zeros(0, 4)
    teacher.eval()(**prepared(teacher, batch, False), mode='tensor')
    assert len(teacher.distill_outputs()['bev']) == 2


def test_it_predicts_lidar_boxes(teacher):
    found = teacher.eval()(**prepared(teacher, bev_batch(2), False), mode='predict')
    assert [type(sample.pred_instances_3d.bboxes_3d) for sample in found] == [LiDARInstance3DBoxes] * 2


def test_pictures_are_not_points(teacher):
    with pytest.raises(DataError, match='expected voxels'):
        teacher(inputs=dict(imgs=torch.zeros(1, 3, 8, 8)), data_samples=[], mode='tensor')


def test_a_grid_that_the_voxels_do_not_fit():
    with pytest.raises(ConfigError, match=r'188 x 140 voxels .* grid of 95 x 70'):
        tiny_model(NAME, bev_size=(95, 70))
    with pytest.raises(ConfigError, match='one range'):
        tiny_model(NAME, point_cloud_range=[0.0, -30.08, -3.0, 46.8, 30.08, 1.0], bbox_head=_head(low=0.0))


def test_anchors_on_another_range():
    with pytest.raises(ConfigError, match=r'anchors from \(0.0, -30.08\)'):
        tiny_model(NAME, bbox_head=_head(low=0.0))


def test_features_of_another_size():
    model = tiny_model(NAME, bev_size=(47, 35))
    with pytest.raises(ShapeError, match=r'\(94, 70\) rows and columns, bev_size is \(47, 35\)'):
        model(**prepared(model, bev_batch(1), False), mode='tensor')


def _head(low):
    from kitti_bev_samples import CONFIGS
    from mmengine.config import Config

    head = Config.fromfile(CONFIGS / f'{NAME}.py').model.bbox_head
    for limits in head.anchor_generator.ranges:
        limits[0] = low
    return ConfigDict(head)


@pytest.mark.slow
def test_it_finds_what_it_was_shown():
    model, batch = tiny_model(NAME), bev_batch(2)
    model.init_weights()
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=3e-3)
    for done in range(50):
        optimizer.param_groups[0]['lr'] = 3e-3 * (1 - done / 50)
        optimizer.zero_grad()
        sum(model(**prepared(model, batch), mode='loss').values()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
    with torch.no_grad():
        found = model.eval()(**prepared(model, batch, False), mode='predict')
    for sample in found:
        boxes = sample.pred_instances_3d.bboxes_3d.tensor
        for car in sample.gt_instances_3d.bboxes_3d.tensor:
            nearest = boxes[(boxes[:, :2] - car[:2]).norm(dim=1).argmin()]
            torch.testing.assert_close(nearest[:6], car[:6], atol=0.4, rtol=0)
            assert torch.cos(nearest[6] - car[6]) > 0.95
