from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.structures import InstanceData

from mono_distill.visualization import GROUND_TRUTH_COLOR, PREDICTION_COLOR, draw_sample, points_in_camera

CAM2IMG = np.array([[700.0, 0, 500, 45], [0, 700, 150, 0.2], [0, 0, 1, 0.003], [0, 0, 0, 1]])


def _instances(**fields):
    boxes = CameraInstance3DBoxes(torch.tensor([[1.0, 1.5, 15, 4, 1.5, 2, 0.4]]))
    return InstanceData(bboxes_3d=boxes, labels_3d=torch.tensor([1]), **fields)


@pytest.fixture
def data_sample():
    sample = Det3DDataSample(metainfo=dict(cam2img=CAM2IMG, sample_id='000003', flip=False))
    sample.gt_instances_3d = _instances(bboxes=torch.tensor([[450.0, 100, 620, 230]]))
    return sample


def _has(picture, color):
    # Lines are anti-aliased: their brightest pixels come near the colour.
    return (np.abs(picture.astype(int) - color) < 60).all(axis=2).any()


def test_picture_depth_map_and_bird_view_are_joined(data_sample):
    image, depth = torch.zeros(3, 300, 1000), torch.full((1, 300, 1000), 20.0)
    points = np.random.RandomState(0).uniform([-20, -1, 1], [20, 1, 60], (100, 3))
    whole = draw_sample(image, data_sample, depth_map=depth, points=points, classes=('Pedestrian', 'Car'))
    assert whole.shape[0] >= 600
    assert whole.shape[1] > 1400
    assert _has(whole[:318, :1000], GROUND_TRUTH_COLOR)
    assert _has(whole[:, 1006:], GROUND_TRUTH_COLOR)
    assert not _has(whole, PREDICTION_COLOR)


def test_predictions_have_their_own_colour(data_sample):
    data_sample.pred_instances_3d = _instances(scores_3d=torch.tensor([0.7]))
    data_sample.pred_instances_3d.bboxes_3d.tensor[:, 0] += 2
    whole = draw_sample(torch.zeros(3, 300, 1000), data_sample)
    assert _has(whole[:, :1000], PREDICTION_COLOR)
    assert _has(whole[:, 1006:], PREDICTION_COLOR)


def test_a_sample_without_annotations_is_drawn():
    sample = Det3DDataSample(metainfo=dict(cam2img=CAM2IMG))
    assert draw_sample(torch.zeros(3, 300, 1000), sample).shape[1] > 1000


def test_small_pictures_are_magnified_with_their_camera(data_sample):
    data_sample.set_metainfo(dict(cam2img=np.diag([0.25, 0.25, 1, 1]) @ CAM2IMG))
    data_sample.gt_instances_3d.bboxes /= 4
    small = draw_sample(torch.zeros(3, 75, 250), data_sample)[18:318, :1000]
    assert small.shape == (300, 1000, 3)
    # The box lies around column 500 + 45 / 15 + 700 / 15 of the magnified picture.
    columns = np.nonzero((small[..., 1] > 150).any(axis=0))[0]
    np.testing.assert_allclose([columns.min(), columns.max()], [452, 644], atol=10)


def test_nothing_of_the_sample_is_changed(data_sample):
    image = torch.zeros(3, 75, 250)
    before = data_sample.clone()
    draw_sample(image, data_sample)
    assert not image.any()
    np.testing.assert_array_equal(data_sample.cam2img, before.cam2img)
    torch.testing.assert_close(data_sample.gt_instances_3d.bboxes, before.gt_instances_3d.bboxes)


@pytest.mark.parametrize(('flip', 'x'), [(False, -2.0), (True, 2.0)])
def test_points_are_moved_to_the_camera_and_mirrored_with_it(flip, x):
    lidar2cam = np.array([[0, -1, 0, 0], [0, 0, -1, -0.1], [1, 0, 0, -0.3], [0, 0, 0, 1.0]])
    points = np.array([[10.0, 2.0, 0.5, 0.9]])
    np.testing.assert_allclose(points_in_camera(points, dict(lidar2cam=lidar2cam, flip=flip)), [[x, -0.6, 9.7]])


def test_drawing_needs_neither_a_display_nor_open3d():
    code = (
        'import sys; sys.modules["open3d"] = None; import mono_distill.visualization as v, numpy as np;'
        'print(v.draw_bev(np.ones((3, 3)), [v.BoxSet(np.ones((1, 7)))]).any())'
    )
    environment = {key: value for key, value in os.environ.items() if key != 'DISPLAY'}
    options = dict(check=True, env=environment, timeout=120, capture_output=True, text=True)
    assert subprocess.run([sys.executable, '-c', code], **options).stdout.split() == ['True']
