from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from small_scene import CAM2IMG, CAMERA_HEIGHT, SHAPE, block, look, small_scene

from mono_distill.synthetic.visibility import NEAR, silhouette_bbox, view_actors

LARGE = np.diag([4.0, 4.0, 1.0]) @ CAM2IMG


def views_of(*actors, **camera):
    return {view.actor: view for view in view_actors(*look(small_scene(*actors), **camera))}


def pixel(x, y, z, cam2img=CAM2IMG):
    """The picture of a point of the ego frame."""
    point = cam2img @ [-y, CAMERA_HEIGHT - z, x, 1]
    return point[:2] / point[2]


def mask_bbox(rendering, actor):
    rows, columns = np.nonzero(rendering.actor == actor)
    return [columns.min(), rows.min(), columns.max(), rows.max()]


def test_free_actor_is_wholly_visible_and_its_box_is_that_of_its_corners():
    view = views_of(block(20.0))[0]
    # The roof is below the horizon, so that its far edge is the upper one.
    left, top = pixel(18, 0.9, 0)[0], pixel(22, 0, 1.5)[1]
    right, bottom = pixel(18, -0.9, 0)
    assert view.bbox_full == pytest.approx([left, top, right, bottom], abs=1e-3)
    assert view.bbox == pytest.approx(view.bbox_full)
    assert (view.truncated, view.visible) == (0.0, 1.0)


def test_box_and_area_agree_with_the_rendered_mask():
    caster, camera, rendering = look(small_scene(block(15.0, 3.0, heading=0.7)))
    (view,) = view_actors(caster, camera, rendering)
    # A pixel is in the mask if its centre is hit: up to one pixel less on each side.
    assert view.bbox == pytest.approx(mask_bbox(rendering, 0), abs=1.1)
    assert view.pixels == pytest.approx((rendering.actor == 0).sum(), rel=0.05)


def test_fourth_column_of_the_projection_moves_the_box():
    # 11 pixels times metres at a depth of 18 metres.
    without = np.column_stack([CAM2IMG[:, :3], np.zeros(3)])
    shift = views_of(block(20.0))[0].bbox - views_of(block(20.0), cam2img=without)[0].bbox
    assert shift[[0, 2]] == pytest.approx(11 / 18, abs=0.05)
    assert view_actors(*look(small_scene(block(20.0)), cam2img=CAM2IMG[:, :3]))[0].bbox == pytest.approx(
        views_of(block(20.0), cam2img=without)[0].bbox
    )


def test_half_hidden_actor_is_half_visible():
    # A wall whose edge is on the line from the pinhole, 6 cm left of the axis, to the middle of the car.
    views = views_of(block(30.0), block(10.0, 1.04, size=(0.01, 2.0, 4.0)), cam2img=LARGE, shape=(375, 1242))
    assert views[0].visible == pytest.approx(0.5, abs=0.03)
    assert views[1].visible == 1.0
    assert views[0].truncated == 0.0


def test_actor_behind_a_wall_is_invisible_but_viewed():
    views = views_of(block(30.0), block(10.0, size=(0.1, 4.0, 4.0)))
    assert views[0].visible == 0.0
    assert views[0].pixels > 0


def test_truncation_is_the_share_of_the_box_outside_the_image():
    # At a depth of 10 metres the left border of the image is at y = 8.4 m: the box ends there or beyond.
    view = views_of(block(12.0, 8.8, size=(4.0, 2.0, 1.5)))[0]
    full, clipped = (np.prod(box[2:] - box[:2]) for box in (view.bbox_full, view.bbox))
    assert view.bbox_full[0] < 0
    assert view.bbox[0] == 0
    assert 0.2 < view.truncated < 0.8
    assert view.truncated == pytest.approx(1 - clipped / full)
    assert view.visible == 1.0


def test_visible_share_counts_inside_the_image_only():
    free = views_of(block(12.0, 8.8))[0]
    assert free.truncated > 0.1
    assert free.visible == 1.0


def test_actor_that_reaches_behind_the_camera_is_cut_at_the_near_plane():
    views = views_of(block(1.0, 2.5, size=(6.0, 1.0, 1.5)))
    view = views[0]
    assert np.isfinite(view.bbox_full).all()
    assert view.bbox_full[0] == pytest.approx(pixel(NEAR, 3.0, 0)[0], rel=0.1)
    assert view.bbox[2] == pytest.approx(pixel(4.0, 2.0, 0)[0], abs=0.1)
    assert view.truncated > 0.95


def test_actors_behind_the_camera_or_beside_the_picture_are_left_out():
    assert views_of(block(-20.0), block(10.0, 30.0), block(20.0)).keys() == {2}
    assert silhouette_bbox(block(0.0).mesh, np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, -1]])) is None


def test_moving_actor_out_of_reach_of_the_rays_is_left_out():
    moving = replace(block(150.0), track=replace(block(150.0).track, speed=10.0))
    assert views_of(moving, block(100.0)).keys() == {1}


def test_tiny_actor_has_a_view():
    view = views_of(block(120.0, size=(0.3, 0.3, 0.3)))[0]
    assert view.pixels in (0.0, 1.0)
    assert 0 <= view.visible <= 1


def test_boxes_end_at_the_centres_of_the_outermost_pixels():
    view = views_of(block(4.0, size=(1.0, 8.0, 6.0)))[0]
    assert view.bbox.tolist() == [0, 0, SHAPE[1] - 1, SHAPE[0] - 1]


def test_twenty_five_actors_take_less_than_60_ms():
    actors = [block(8.0 + 3 * i, 2.5 * (i % 5 - 2), name=str(i)) for i in range(25)]
    seen = look(small_scene(*actors), cam2img=LARGE, shape=(375, 1242))
    assert len(view_actors(*seen)) == 25
    times = []
    for _ in range(5):
        began = time.process_time()
        view_actors(*seen)
        times.append(time.process_time() - began)
    assert min(times) < 0.06
