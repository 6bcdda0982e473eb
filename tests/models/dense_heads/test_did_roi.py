from __future__ import annotations

import numpy as np
import pytest
import torch

from mono_distill.models.dense_heads.did_roi import bin_branch, pooled_branch, read_rois, run_branches
from mono_distill.models.task_modules import PixelGeometryReader

CAM2IMG = np.array([[700.0, 0, 600, 45], [0, 700.0, 170, 0.2], [0, 0, 1, 0.003]])
# An input half as large as the image, which begins 10 and 20 pixels to the right of and below its corner.
META = dict(
    ori_cam2img=CAM2IMG,
    trans_mat=np.array([[0.5, 0, -5], [0, 0.5, -10], [0, 0, 1]]),
    ori_shape=(120, 200),
    img_shape=(48, 80),
)


def rois(boxes, labels=None, feat=None):
    boxes = torch.tensor([boxes], requires_grad=True)
    labels = torch.zeros(1, boxes.shape[1], dtype=torch.long) if labels is None else torch.tensor([labels])
    feat = torch.zeros(1, 2, 12, 20) if feat is None else feat
    geometry = PixelGeometryReader()([META], boxes)
    return boxes, read_rois(feat, boxes, labels, geometry, num_classes=3, bins=7, stride=4)


def test_the_rays_of_a_box_go_from_corner_to_corner():
    _, result = rois([[2.0, 3.0, 8.0, 9.0]])
    x, y = result.features[0, 0, 2:4]
    # In the image, columns of the input are 2 pixels wide and begin at pixel 10, rows begin at pixel 20.
    columns = [(2 * 4 * (2 + 6 * j / 6) + 10 - 600 - 45) / 700 for j in range(7)]
    rows = [(2 * 4 * (3 + 6 * i / 6) + 20 - 170 - 0.2) / 700 for i in range(7)]
    for i in range(7):
        for j in range(7):
            assert x[i, j].item() == pytest.approx(columns[j], abs=1e-6)
            assert y[i, j].item() == pytest.approx(rows[i], abs=1e-6)


def test_the_class_is_one_hot_in_every_bin():
    _, result = rois([[2.0, 3.0, 8.0, 9.0]] * 2, labels=[2, 0])
    assert result.features[0, :, 4:].amax((2, 3)).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert result.features[0, :, 4:].amin((2, 3)).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_the_depth_scale_is_the_magnification_except_for_boxes_under_a_pixel():
    _, result = rois([[2.0, 3.0, 8.0, 9.0], [2.0, 3.0, 8.0, 3.1], [2, 5, 8, 3]])
    # The second is 0.4 input pixels high, 0.8 image pixels: both count as one.
    assert result.depth_scale[0].tolist() == pytest.approx([0.5, 1.0, 1.0])


def test_boxes_get_gradient_through_the_rays():
    boxes, result = rois([[2.0, 3.0, 8.0, 9.0]])
    result.features.sum().backward()
    # Each of the 49 bins is a mean of the corners with weights that add up to 1/2 on average: 24.5 of 8 / 700.
    assert boxes.grad.flatten().tolist() == pytest.approx([24.5 * 8 / 700] * 4, rel=1e-5)


def test_features_are_pooled_without_the_half_pixel_shift():
    ramp = torch.arange(20.0).expand(1, 2, 12, 20)
    _, result = rois([[2.0, 3.0, 9.0, 10.0]], feat=ramp)
    assert result.features[0, 0, 0, 0].tolist() == pytest.approx([2.5 + j for j in range(7)])


def test_branches_are_run_like_each_alone():
    branches = {'offset_3d': pooled_branch(4, 6, 2), 'vis_depth': bin_branch(4, 6)}
    features = torch.randn(3, 4, 7, 7)
    outs = run_branches(branches, features, torch.tensor([True, True, True]))
    conv, norm, relu, pool, last = branches['offset_3d']
    norm.eval()
    reference = torch.nn.BatchNorm2d(6)(conv(features))
    torch.testing.assert_close(outs['offset_3d'], last(pool(relu(reference))).flatten(1))
    torch.testing.assert_close(outs['vis_depth'], branches['vis_depth'](features).squeeze(1))
