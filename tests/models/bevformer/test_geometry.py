"""Tests of mono_distill.models.bevformer.geometry."""

import math

import pytest
import torch
from bevformer_models import IMAGE, RANGE, frame_matrices, project, rig, shift, turn

from mono_distill.models.bevformer.geometry import lidar_to_image, pillar_points, view_pillars
from mono_distill.utils.errors import ConfigError, ShapeError


def augmented():
    """Matrices of two samples, every image and both worlds augmented in their own way."""
    matrices = frame_matrices(rig())
    for sample in range(2):
        world = turn(0.3 - sample) @ torch.diag(torch.tensor([-1.05, 1.05, 1.05, 1.0], dtype=torch.float64))
        matrices['lidar_aug_matrix'][sample] = (shift(0.4, -0.2, 0.1) @ world).float()
        for camera in range(5):
            rotation = turn(0.1 * camera - 0.2)[:2, :2] * (0.8 + 0.1 * camera)
            flip = torch.diag(torch.tensor([-1.0 if camera % 2 else 1.0, 1.0], dtype=torch.float64))
            matrices['img_aug_matrix'][sample, camera, :2, :2] = (flip @ rotation).float()
            matrices['img_aug_matrix'][sample, camera, :2, 3] = torch.tensor([90.0 if camera % 2 else 4.0, -3.0])
    return matrices


def test_pillars_stand_on_the_cells_row_by_row():
    points = pillar_points(RANGE, (64, 32), 4, like=torch.zeros(1)).unflatten(0, (64, 32))
    assert points.shape == (64, 32, 4, 3)
    # Rows along y, columns along x; the first cell's centre is half a cell from the corner.
    torch.testing.assert_close(points[0, 0, 0], torch.tensor([-49.6, -50.4, -4.5]))
    torch.testing.assert_close(points[5, 2, 3], torch.tensor([-51.2 + 2.5 * 3.2, -51.2 + 5.5 * 1.6, 2.5]))
    assert pillar_points(RANGE, (2, 2), 1, like=torch.zeros(1))[0, 0, 2] == -1.0


def test_locations_are_those_of_the_chain_of_matrices():
    matrices = augmented()
    points = pillar_points(RANGE, (7, 9), 3, like=torch.zeros(1))
    views = view_pillars(points, lidar_to_image(**matrices), IMAGE)
    height, width = IMAGE
    seen = 0
    for b, n, q, z in torch.cartesian_prod(*[torch.arange(size) for size in (2, 5, 63, 3)]):
        names = dict(cam2img='cam2img', cam2lidar='cam2lidar', img_aug='img_aug_matrix')
        own = {key: matrices[name][b, n] for key, name in names.items()}
        u, v, depth = project(points[q, z].tolist(), **own, lidar_aug=matrices['lidar_aug_matrix'][b])
        inside = depth > 1e-3 and -0.5 < u < width - 0.5 and -0.5 < v < height - 0.5
        assert bool(views.visible[b, n, q, z]) == inside
        if inside:
            seen += 1
            expected = torch.tensor([(u + 0.5) / width, (v + 0.5) / height])
            torch.testing.assert_close(views.locations[b, n, q, z], expected, rtol=1e-4, atol=1e-4)
    assert seen > 200


def test_the_shift_of_an_image_does_not_depend_on_the_depth():
    matrices = frame_matrices(rig(1))
    before = lidar_to_image(**matrices)
    matrices['img_aug_matrix'][..., 0, 3] = 10.0
    points = torch.tensor([[[0.0, 10.0, 0.0]], [[0.0, 40.0, 0.0]]])
    moved = view_pillars(points, lidar_to_image(**matrices), IMAGE).locations - view_pillars(points, before, IMAGE)[0]
    torch.testing.assert_close(moved[0, 0, :, 0, 0], torch.full((2,), 10.0 / IMAGE[1]))


def test_points_behind_a_camera_are_far_outside_of_its_image():
    points = torch.tensor([[[0.0, -20.0, 0.0], [0.0, 0.6, 0.0], [0.0, 20.0, 0.0]]])
    views = view_pillars(points, lidar_to_image(**frame_matrices(rig(1))), IMAGE)
    assert views.visible[0, 0, 0].tolist() == [False, False, True]
    assert (views.locations[0, 0, 0, 0] < -5).all()
    assert views.locations.isfinite().all()


def test_a_map_point_far_away_keeps_its_pixel():
    # Float32 all along would lose a hundredth of a pixel here.
    matrices = {name: value.clone() for name, value in frame_matrices(rig(1)).items()}
    matrices['lidar_aug_matrix'][0] = (shift(50.0, 20.0, 0.0) @ turn(math.pi / 7)).float()
    point = (turn(math.pi / 7) @ torch.tensor([0.3, 30.0, 0.2, 1.0], dtype=torch.float64))[:3]
    point = (point + torch.tensor([50.0, 20.0, 0.0])).float()
    views = view_pillars(point.view(1, 1, 3), lidar_to_image(**matrices), IMAGE)
    own = {key: matrices[name][0, 0] for key, name in dict(cam2img='cam2img', cam2lidar='cam2lidar').items()}
    u, v, _ = project(point.tolist(), **own, img_aug=torch.eye(4), lidar_aug=matrices['lidar_aug_matrix'][0])
    pixel = views.locations[0, 0, 0, 0] * torch.tensor([IMAGE[1], IMAGE[0]]) - 0.5
    torch.testing.assert_close(pixel, torch.tensor([u, v]), rtol=0, atol=2e-3)


def test_mistakes_are_named():
    matrices = frame_matrices(rig())
    with pytest.raises(ShapeError, match=r'cam2lidar has shape \(2, 4, 4, 4\), expected \(B, N, 4, 4\)'):
        lidar_to_image(**{**matrices, 'cam2lidar': matrices['cam2lidar'][:, :4]})
    with pytest.raises(ShapeError, match='lidar_aug_matrix has shape'):
        lidar_to_image(**{**matrices, 'lidar_aug_matrix': torch.eye(4)})
    with pytest.raises(ConfigError, match='each minimum below its maximum'):
        pillar_points((0, 0, 0, 1, 1, 0), (2, 2), 1, like=torch.zeros(1))
