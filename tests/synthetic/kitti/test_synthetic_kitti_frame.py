"""Picture, scan and labels of one moment agree with each other and with the truth behind them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mono_distill.datasets.kitti.boxes import points_in_boxes
from mono_distill.datasets.kitti.projection import transform_points
from mono_distill.synthetic.kitti.frame import make_frame
from mono_distill.synthetic.kitti.labels import upright_box
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.lidar import HDL64

FULL = KittiOptions('unused', 40, seed=5, frames_per_sequence=2, frame_gap=5.0)


@pytest.fixture(scope='module')
def frames():
    """The first frames of six sequences, at full size."""
    return [make_frame(FULL, 2 * sequence) for sequence in range(6)]


def labelled(frame):
    """Yield actor, view, row and 3D box of every labelled object."""
    world2cam = np.linalg.inv(frame.cam2world)
    rows = {tuple(box.round(6)): row for row, box in enumerate(frame.labels.bboxes_3d)}
    for view in frame.views:
        actor = frame.scene.actors[view.actor]
        box = upright_box(actor.size, world2cam @ frame.scene.actor_pose(actor, 0.0))
        if tuple(box.round(6)) in rows:
            yield actor, view, rows[tuple(box.round(6))], box


def points_in_camera(frame):
    return transform_points(frame.scan.points, frame.rig.lidar2cam)


def test_every_labelled_object_is_an_actor(frames):
    for frame in frames:
        assert len(list(labelled(frame))) == (frame.labels.name != 'DontCare').sum()


def test_lidar_points_in_labelled_boxes_lie_on_the_object(frames):
    own, inside = 0, 0
    for frame in frames:
        points = points_in_camera(frame)
        for _, view, _, box in labelled(frame):
            hit = frame.scan.actor[points_in_boxes(points, box[None])[0]]
            own += (hit == view.actor).sum()
            inside += len(hit)
    assert inside > 10_000
    assert own / inside >= 0.99


def test_lidar_points_on_a_labelled_object_lie_in_its_box(frames):
    held, hit = 0, 0
    for frame in frames:
        points = points_in_camera(frame)
        for _, view, _, box in labelled(frame):
            own = frame.scan.actor == view.actor
            # The bottom is raised above the tyres' contact, and the range is noisy.
            held += points_in_boxes(points[own], (box + [0, 0.05, 0, 0.1, 0.1, 0.1, 0])[None]).sum()
            hit += own.sum()
    assert held / hit >= 0.99


def projected(points, cam2img):
    scaled = points @ cam2img[:, :3].T + cam2img[:, 3]
    return scaled[:, :2] / scaled[:, 2:], scaled[:, 2]


def test_projected_lidar_depth_is_the_rendered_depth(frames):
    """Between pixel centres the depth of a plane follows from interpolating its inverse."""
    errors = []
    for frame in frames:
        points = points_in_camera(frame)
        pixels, depth = projected(points, frame.rig.matrices['P2'])
        shown = frame.rendering.depth
        height, width = shown.shape
        within = (depth > 1) & (pixels >= 1).all(axis=1) & (pixels < [width - 2, height - 2]).all(axis=1)
        column, row = pixels[within].T.astype(np.float32)
        inverse = np.where(shown > 0, 1 / np.maximum(shown, 1e-3), 0).astype(np.float32)
        expected = 1 / np.maximum(cv2.remap(inverse, column, row, cv2.INTER_LINEAR).ravel(), 1e-4)
        # A point is off an edge if inverse depth is a plane around it and nothing is sky.
        curved = np.abs(cv2.Laplacian(inverse, cv2.CV_32F)) * shown > 2e-3
        near_edge = cv2.dilate((curved | (shown == 0)).astype(np.uint8), np.ones((5, 5), np.uint8))
        smooth = near_edge[np.rint(row).astype(int), np.rint(column).astype(int)] == 0
        errors.append((points[within, 2] - expected)[smooth])
    error = np.concatenate(errors)
    assert len(error) > 30_000
    assert abs(np.median(error)) < 0.002
    # Of noise, 99.7 % is within three standard deviations; a few points lie behind what the camera sees.
    assert (np.abs(error) < 3 * HDL64.range_noise).mean() > 0.97
    assert 0.6 < np.percentile(np.abs(error), 68) / HDL64.range_noise < 1.3


def iou(first, second):
    overlap = np.maximum(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0).prod()
    return overlap / (np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - overlap)


def free_objects(frame):
    """Yield class, view, 3D box and the mask's box of objects that nothing hides and the image holds."""
    for _, view, row, box in labelled(frame):
        if view.visible == 1 and view.truncated == 0:
            rows, columns = np.nonzero(frame.rendering.actor == view.actor)
            # A pixel reaches half a pixel around its centre.
            mask = np.array([columns.min() - 0.5, rows.min() - 0.5, columns.max() + 0.5, rows.max() + 0.5])
            yield str(frame.labels.name[row]), view, box, mask


def test_label_boxes_agree_with_the_rendered_masks(frames):
    scores = [iou(view.bbox, mask) for frame in frames for _, view, _, mask in free_objects(frame)]
    assert len(scores) > 15
    assert np.mean(scores) >= 0.9


def in_camera(points, box):
    """Points of a box's own frame (x forward, y left, z up from the middle of the bottom) in the camera frame."""
    x, y, z, *_, heading = box
    cosine, sine = np.cos(heading), np.sin(heading)
    along, left, rise = points.T
    # The camera's y points down, so that left of a box with heading 0 is its z.
    return np.column_stack([x + cosine * along + sine * left, y - rise, z - sine * along + cosine * left])


def scores_of_projections(frames, points_of):
    """Return by class the IoU of the masks' boxes and the envelopes of points of the 3D boxes' frames."""
    scores = {}
    for frame in frames:
        for name, view, box, mask in free_objects(frame):
            points = points_of(frame.scene.actors[view.actor], box)
            pixels, _ = projected(in_camera(points, box), frame.rig.matrices['P2'])
            envelope = np.concatenate([pixels.min(axis=0), pixels.max(axis=0)])
            scores.setdefault(name, []).append(iou(envelope, mask))
    return scores


def test_bodies_put_where_their_3d_boxes_are_agree_with_the_rendered_masks(frames):
    def body(actor, box):
        return actor.mesh.vertices * [1, 1, box[4] / actor.size[2]]

    scores = scores_of_projections(frames, body)
    assert len(scores) > 2
    assert np.mean([score for of_class in scores.values() for score in of_class]) >= 0.9
    assert np.mean(scores['Car']) >= 0.92


def test_projected_3d_boxes_agree_with_the_rendered_masks(frames):
    """Corners of a box stick out beyond rounded bodies, mirrors and strides make it wider than most of the body."""

    def corners(actor, box):
        return np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (0, 1)]) * box[[3, 5, 4]]

    scores = scores_of_projections(frames, corners)
    assert np.mean(scores['Car']) >= 0.85
    assert np.mean([score for of_class in scores.values() for score in of_class]) >= 0.8


def test_frame_is_a_pure_function_of_its_number(frames):
    make_frame(FULL, 3)
    again = make_frame(FULL, 0)
    assert np.array_equal(again.rendering.image, frames[0].rendering.image)
    assert np.array_equal(again.scan.points, frames[0].scan.points)


def test_scale_changes_the_picture_but_not_the_scene(frames):
    small = make_frame(KittiOptions('unused', 40, seed=5, frames_per_sequence=2, frame_gap=5.0, image_scale=0.25), 0)
    assert np.array_equal(small.scan.points, frames[0].scan.points)
    large = cv2.resize(frames[0].rendering.image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    rows, columns = min(large.shape[0], 94), min(large.shape[1], 310)
    difference = np.abs(large[:rows, :columns].astype(int) - small.rendering.image[:rows, :columns])
    assert difference.mean() < 12
