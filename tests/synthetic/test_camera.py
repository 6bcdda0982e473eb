from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from small_scene import CAM2IMG, CAMERA_HEIGHT, CLEAR, EGO2CAM_AXES, SHAPE, block, small_scene

from mono_distill.synthetic import camera as camera_module
from mono_distill.synthetic.camera import Camera, render
from mono_distill.synthetic.materials import Material
from mono_distill.synthetic.mesh import merge, pose_matrix
from mono_distill.synthetic.raycast import RayCaster
from mono_distill.synthetic.shapes import box, polygon
from mono_distill.utils.errors import ShapeError

QUIET = replace(CLEAR, noise=0.0)
WHITE, RED = (Material(color, contrast=0.0) for color in ((0.7, 0.7, 0.7), (0.7, 0.05, 0.05)))
GROUND = polygon([[-50, -50, 0], [200, -50, 0], [200, 50, 0], [-50, 50, 0]], WHITE)
PLAIN_CAM2IMG = CAM2IMG[:, :3]


def camera_at(cam2img=CAM2IMG, shape=SHAPE, pitch=0.0, yaw=0.0):
    return Camera(cam2img, pose_matrix(0, 0, CAMERA_HEIGHT, yaw, pitch) @ EGO2CAM_AXES, shape)


def picture(*actors, parts=(), environment=QUIET, camera=None, seed=0):
    scene = replace(small_scene(*actors), background=merge([GROUND, *parts]), environment=environment)
    caster = RayCaster(scene, 0.0, center=(0, 0, 0))
    return render(caster, camera or camera_at(), np.random.default_rng(seed))


def project(camera, points):
    homogeneous = np.column_stack([points, np.ones(len(points))])
    matrix = np.asarray(camera.cam2img)[:3]
    if matrix.shape[1] == 3:
        matrix = np.column_stack([matrix, np.zeros(3)])
    image = homogeneous @ matrix.T
    return image[:, :2] / image[:, 2:]


@pytest.mark.parametrize('cam2img', [CAM2IMG, PLAIN_CAM2IMG, np.vstack([CAM2IMG, [0, 0, 0, 1]])])
def test_ray_of_the_pixel_where_a_point_is_projected_goes_through_it(cam2img):
    camera = camera_at(cam2img)
    points = np.random.default_rng(0).uniform([-8, -2, 4], [8, 3, 60], (50, 3))
    ways = camera.directions(project(camera, points))
    along = np.linalg.norm(points - camera.pinhole, axis=1)
    assert camera.pinhole + ways * along[:, None] == pytest.approx(points, abs=1e-9)


@pytest.mark.parametrize('cam2img', [CAM2IMG, PLAIN_CAM2IMG])
def test_depth_and_pixels_of_what_was_hit_agree_with_the_projection(cam2img):
    camera = camera_at(cam2img, pitch=-0.05, yaw=0.1)
    actors = [block(15.0, 3.0, heading=0.7), block(30.0, -2.0)]
    depth = picture(*actors, camera=camera).depth
    v, u = np.nonzero(depth)
    assert len(u) > 10000
    # The point of the ray at that depth lies on the ground or on one of the boxes, all explicitly.
    local = camera.directions(np.stack([u, v], axis=1))
    points = camera.pinhole + local * ((depth[v, u] - camera.pinhole[2]) / local[:, 2])[:, None]
    assert points[:, 2] == pytest.approx(depth[v, u], rel=1e-5)
    assert project(camera, points) == pytest.approx(np.stack([u, v], axis=1), abs=1e-6)
    world = points @ camera.cam2world[:3, :3].T + camera.cam2world[:3, 3]
    away = np.abs(world[:, 2])
    for actor in actors:
        turn = pose_matrix(actor.track.s, actor.track.offset, 0, actor.track.heading)
        inside = (world - turn[:3, 3]) @ turn[:3, :3] - [0, 0, actor.size[2] / 2]
        away = np.minimum(away, np.abs(np.max(np.abs(inside) - np.array(actor.size) / 2, axis=1)))
    assert away.max() < 0.02
    assert np.percentile(away, 95) < 1e-3


def test_depth_of_the_ground_follows_from_the_fourth_column():
    depth = picture().depth
    rows = np.arange(60, SHAPE[0])
    # Solve v = (f h + c z + t) / (z + w) for z.
    (_, f, c, t), w = CAM2IMG[1], CAM2IMG[2, 3]
    expected = (f * CAMERA_HEIGHT + t - rows * w) / (rows - c)
    assert depth[rows, 150] == pytest.approx(expected, rel=1e-4)


def test_depth_is_measured_along_the_optical_axis():
    depth = picture(parts=[box((21, 0, 0), (2, 80, 30), WHITE)]).depth
    assert depth[5] == pytest.approx(np.full(SHAPE[1], 20), abs=1e-3)


def test_sky_has_no_depth_and_belongs_to_nobody():
    seen = picture(block(20.0))
    assert not seen.depth[:20].any()
    assert (seen.actor[:20] == -1).all()


def test_actor_map_shows_each_actor_inside_its_projected_box():
    camera = camera_at()
    seen = picture(block(12.0, 3.0), block(25.0, -3.0), camera=camera)
    assert set(np.unique(seen.actor)) == {-1, 0, 1}
    for index, (x, y) in enumerate([(12.0, 3.0), (25.0, -3.0)]):
        # The face that looks at the camera, inset by a centimetre.
        corners = np.array([[-y + side * 0.89, CAMERA_HEIGHT - z, x - 2] for side in (-1, 1) for z in (0.01, 1.49)])
        low, high = project(camera, corners).min(axis=0), project(camera, corners).max(axis=0)
        left, top, right, bottom = (*np.ceil(low).astype(int), *np.floor(high).astype(int))
        assert (seen.actor[top : bottom + 1, left : right + 1] == index).all()
        assert (seen.actor == index).sum() < 3 * (bottom - top + 2) * (right - left + 2)


def test_picture_is_in_the_order_of_opencv():
    image = picture(parts=[box((21, 0, 0), (2, 80, 30), RED)]).image
    blue, green, red = image[5, 150].astype(int)
    assert red > 2 * max(blue, green)


def test_quarter_size_camera_sees_the_same_depth_at_corresponding_pixels():
    full_size = np.diag([4.0, 4.0, 1.0]) @ CAM2IMG
    actors = [block(15.0, 3.0, heading=0.7), block(30.0, -2.0)]
    full = picture(*actors, camera=camera_at(full_size, (373, 1237)))
    quarter = picture(*actors, camera=camera_at())
    assert full.depth[::4, ::4] == pytest.approx(quarter.depth, rel=1e-4)
    assert np.array_equal(full.actor[::4, ::4], quarter.actor)


def test_anti_aliasing_changes_only_pixels_where_surfaces_meet(monkeypatch):
    actors = [block(15.0, 3.0, heading=0.7), block(30.0, -2.0)]
    smooth = picture(*actors)
    monkeypatch.setattr(camera_module, 'SUB_PIXELS', ((0.0, 0.0),))
    rough = picture(*actors)
    changed = np.any(smooth.image != rough.image, axis=2)
    assert 50 < changed.sum() < 0.2 * changed.size
    # Sky, ground and each actor are one surface; far ground steps by metres from row to row.
    surface = np.where(smooth.depth == 0, -2, smooth.actor).astype(np.float32)
    span = [cv2.dilate(plane, np.ones((3, 3))) - cv2.erode(plane, np.ones((3, 3))) for plane in (surface, smooth.depth)]
    meeting = (span[0] > 0) | (span[1] > 1.0)
    assert not np.any(changed & ~meeting)
    assert np.array_equal(smooth.depth, rough.depth)


def test_anti_aliasing_mixes_the_colors_of_both_surfaces(monkeypatch):
    # The upper edge of a red wall before a white one, a little aslant.
    parts = [box((21, 0, 0), (2, 80, 30), WHITE), box((10.5, 0, 0), (1, 60, 1.2), RED)]
    tilted = Camera(PLAIN_CAM2IMG, pose_matrix(0, 0, CAMERA_HEIGHT, 0, 0, 0.02) @ EGO2CAM_AXES, SHAPE)

    def levels(image):
        return len(np.unique(image[40:60, 140:170, 0]))

    smooth = picture(parts=parts, camera=tilted).image
    monkeypatch.setattr(camera_module, 'SUB_PIXELS', ((0.0, 0.0),))
    assert levels(smooth) > levels(picture(parts=parts, camera=tilted).image)


def test_equal_generators_give_equal_pictures_and_others_other_noise():
    first, second, third = (picture(block(15.0), environment=CLEAR, seed=seed) for seed in (1, 1, 2))
    assert first.image.tobytes() == second.image.tobytes()
    assert first.image.tobytes() != third.image.tobytes()
    assert first.depth.tobytes() == third.depth.tobytes()


def test_noise_of_the_sensor_grows_with_that_of_the_environment():
    clean = picture().image.astype(float)
    spread = [np.std(picture(environment=replace(CLEAR, noise=noise)).image - clean) for noise in (1.0, 4.0)]
    assert 0.3 < spread[0] < 3
    assert spread[1] == pytest.approx(4 * spread[0], rel=0.2)


def test_exposure_brightens_the_picture_and_white_balance_tints_it():
    plain = picture().image.astype(float)
    brighter = picture(environment=replace(QUIET, exposure=1.5)).image
    warmer = picture(environment=replace(QUIET, white_balance=(1.2, 1.0, 0.8))).image
    assert np.all(brighter >= plain)
    assert brighter.mean() > plain.mean() + 10
    change = (warmer - plain).mean(axis=(0, 1))
    assert change[0] < -3 < 3 < change[2]
    assert change[1] == pytest.approx(0)


@pytest.mark.parametrize('shape', [(2, 2), (4, 3), (3,), (1, 3, 4)])
def test_projections_of_another_shape_are_refused(shape):
    with pytest.raises(ShapeError, match='cam2img'):
        Camera(np.zeros(shape), np.eye(4), SHAPE)
