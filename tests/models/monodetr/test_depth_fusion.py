import math

import numpy as np
import pytest
import torch

from mono_distill.models.monodetr.depth_fusion import Cameras, fuse_depths, read_cameras
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

CAM2IMG = np.array([[700.0, 0, 600, 45], [0, 690, 170, 0.2], [0, 0, 1, 0.003]])
LIKE = torch.zeros(1)


def fused(raw, box, height=1.5, depth_map=None, focal=700.0, rows=375.0):
    bboxes = torch.tensor(box).view(1, 1, 1, 6).requires_grad_()
    dims = torch.tensor([height, 1.6, 4.0]).view(1, 1, 1, 3).requires_grad_()
    depth_map = torch.full((1, 3, 5), 30.0) if depth_map is None else depth_map
    cameras = Cameras(torch.tensor([focal]), torch.tensor([rows]))
    raw = torch.tensor(raw).view(1, 1, 1)
    return fuse_depths(raw, dims, bboxes, weighted_depth=depth_map, cameras=cameras), dims, bboxes


def test_the_mean_of_three_depths():
    # 1 / (1/11 + 1e-6) - 1 = 9.99988; 700 * 1.5 / (0.2 * 375) = 14; the map says 30.
    depth, _, _ = fused(-math.log(10), [0.5, 0.5, 0.1, 0.1, 0.08, 0.12])
    assert depth.item() == pytest.approx((9.99988 + 14 + 30) / 3, rel=1e-6)


def test_a_box_is_at_least_one_pixel_high():
    depth, _, _ = fused(0.0, [0.5, 0.5, 0.1, 0.1, 0.0, 0.001])
    assert depth.item() == pytest.approx((1 + 700 * 1.5 + 30) / 3, rel=1e-5)


def test_the_map_is_read_between_the_centres_of_its_corner_cells():
    # Columns 0 .. 4 hold 0 .. 40 m: u = 0 is column 0, u = 1 column 4, u = 0.625 column 2.5.
    ramp = torch.arange(5.0).mul(10).expand(1, 3, 5).clone()
    for u, metres in ((0.0, 0.0), (1.0, 40.0), (0.625, 25.0)):
        depth, _, _ = fused(0.0, [u, 0.5, 0.1, 0.1, 0.1, 0.1], height=0.0, depth_map=ramp)
        assert depth.item() * 3 - 1 == pytest.approx(metres, abs=1e-4)


def test_gradients_flow_into_size_and_box_but_not_into_the_position():
    ramp = torch.arange(5.0).mul(10).expand(1, 3, 5).clone().requires_grad_()
    depth, dims, bboxes = fused(0.0, [0.4, 0.4, 0.1, 0.1, 0.1, 0.1], depth_map=ramp)
    depth.sum().backward()
    assert dims.grad.flatten().ne(0).tolist() == [True, False, False]
    assert bboxes.grad.flatten().ne(0).tolist() == [False, False, False, False, True, True]
    assert ramp.grad.sum().item() == pytest.approx(1 / 3)


def test_exact_geometry_gives_the_depth_of_a_cropped_image():
    """An object 1.5 m high at 20 m, seen by an input of half the scale whose depths are multiplied by 1.1."""
    pixels = 690 * 1.5 / 20 * 0.5
    meta = dict(cam2img=np.diag([345.0, 345, 1]), img_shape=(192, 640), crop_scale=1.1)
    cameras = read_cameras([meta], 'exact', like=LIKE)
    height = pixels / 192
    bboxes = torch.tensor([0.5, 0.5, 0.1, 0.1, height / 2, height / 2]).view(1, 1, 1, 6)
    dims = torch.tensor([1.5, 1.6, 4.0]).view(1, 1, 1, 3)
    depth = fuse_depths(torch.zeros(1, 1, 1), dims, bboxes, weighted_depth=torch.zeros(1, 2, 2), cameras=cameras)
    assert depth.item() * 3 - 1 == pytest.approx(20 * 1.1, rel=1e-4)


def test_official_geometry_is_that_of_the_original_image():
    meta = dict(cam2img=np.eye(3), img_shape=(384, 1280), ori_cam2img=CAM2IMG, ori_shape=(375, 1242), crop_scale=1.1)
    focal, height = read_cameras([meta, meta], 'official', like=LIKE)
    assert (focal.tolist(), height.tolist()) == ([700, 700], [375, 375])


@pytest.mark.parametrize('shape', [(3, 3), (3, 4), (4, 4)])
def test_camera_matrices_of_all_usual_shapes_are_read(shape):
    matrix = np.zeros(shape)
    matrix[0, 0] = 500
    assert read_cameras([dict(cam2img=matrix, img_shape=(96, 320))], 'exact', like=LIKE).focal.item() == 500


def test_mistakes_are_named():
    with pytest.raises(ShapeError, match=r'cam2img of a.png has shape \(9,\); expected a camera matrix 3x3'):
        read_cameras([dict(cam2img=np.ones(9), img_shape=(96, 320), img_path='a.png')], 'exact', like=LIKE)
    for focal in (0.0, -1.0, float('nan'), float('inf')):
        meta = dict(cam2img=np.full((3, 3), focal), img_shape=(96, 320))
        with pytest.raises(DataError, match='cam2img of an image has the focal length .*; expected pixels above 0'):
            read_cameras([meta], 'exact', like=LIKE)
    with pytest.raises(DataError, match="lacks 'ori_cam2img'"):
        read_cameras([dict(cam2img=CAM2IMG)], 'official', like=LIKE)
    with pytest.raises(ConfigError, match="unknown depth_geometry 'oficial'; did you mean 'official'"):
        read_cameras([], 'oficial', like=LIKE)
