from __future__ import annotations

import numpy as np
import pytest
from small_scene import CAM2IMG, CAMERA_HEIGHT, SHAPE, block, look, small_scene

from mono_distill.datasets.kitti.boxes import points_in_boxes
from mono_distill.datasets.kitti.labels import read_label, write_label
from mono_distill.synthetic.kitti.labels import kitti_class, label_frame, upright_box
from mono_distill.synthetic.mesh import pose_matrix
from mono_distill.synthetic.road import Road
from mono_distill.synthetic.scene import GROUND_CLEARANCE
from mono_distill.synthetic.visibility import view_actors

LARGE = np.diag([4.0, 4.0, 1.0]) @ CAM2IMG


def labels_of(*actors, scale=1.0):
    shape, cam2img = ((375, 1242), LARGE) if scale == 1.0 else (SHAPE, CAM2IMG)
    caster, camera, rendering = look(small_scene(*actors), cam2img=cam2img, shape=shape)
    return label_frame(caster, view_actors(caster, camera, rendering), camera.cam2world, shape)


def wall(x, width, y=0.0):
    return block(x, y, size=(0.1, width, 5.0), category='movable_object.barrier', kind='barrier')


def test_car_ahead_is_labelled_where_it_stands():
    labels = labels_of(block(20.0, 2.0, size=(4.0, 1.8, 1.5)))
    assert labels.name.tolist() == ['Car']
    assert labels.dimensions[0] == pytest.approx([1.5 - GROUND_CLEARANCE, 1.8, 4.0])
    assert labels.location[0] == pytest.approx([-2.0, CAMERA_HEIGHT - GROUND_CLEARANCE, 20.0], abs=1e-6)
    # It drives away from the camera: its forward axis is the camera's z.
    assert labels.rotation_y[0] == pytest.approx(-np.pi / 2)
    assert labels.alpha[0] == pytest.approx(-np.pi / 2 - np.arctan2(-2.0, 20.0))
    assert (labels.truncated[0], labels.occluded[0]) == (0.0, 0)


@pytest.mark.parametrize('heading', [0.0, 0.7, 2.5, -2.9])
def test_box_holds_the_body(heading):
    actor = block(15.0, -1.0, heading=heading)
    caster, camera, _ = look(small_scene(actor))
    box = upright_box(actor.size, np.linalg.inv(camera.cam2world) @ caster.poses[0])
    corners = caster.body(0).vertices.astype(np.float64)
    # Towards the middle, for rounding; above the clearance.
    corners = corners.mean(axis=0) + 0.999 * (corners - corners.mean(axis=0))
    corners[:, 2] = np.maximum(corners[:, 2], 2 * GROUND_CLEARANCE)
    local = (corners - camera.cam2world[:3, 3]) @ camera.cam2world[:3, :3]
    assert points_in_boxes(local, box[None]).all()
    assert np.prod(box[3:6]) == pytest.approx(4.0 * 1.8 * (1.5 - GROUND_CLEARANCE))


def test_box_of_a_leaning_body_keeps_its_middle():
    pose = pose_matrix(2.0, 1.0, 10.0, 0.0) @ np.linalg.inv(pose_matrix(0, 0, 0, 0.3, 0.05))
    box = upright_box((4.0, 1.8, 1.5), pose)
    middle = pose @ [0, 0, (1.5 + GROUND_CLEARANCE) / 2, 1]
    assert box[:3] - [0, box[4] / 2, 0] == pytest.approx(middle[:3])


def test_classes_are_those_kitti_would_give():
    kinds = {
        ('vehicle.car', 'sedan'): 'Car',
        ('vehicle.car', 'van'): 'Van',
        ('vehicle.truck', 'box'): 'Truck',
        ('vehicle.bus.rigid', 'bus'): 'Truck',
        ('vehicle.trailer', 'trailer'): 'Misc',
        ('vehicle.construction', 'digger'): 'Misc',
        ('vehicle.motorcycle', 'rider'): 'Misc',
        ('human.pedestrian.adult', 'walking'): 'Pedestrian',
        ('vehicle.bicycle', 'rider'): 'Cyclist',
        ('vehicle.bicycle', 'parked'): None,
        ('movable_object.trafficcone', 'cone'): None,
        ('movable_object.barrier', 'barrier'): None,
    }
    found = {(category, kind): kitti_class(block(9.0, category=category, kind=kind)) for category, kind in kinds}
    assert found == kinds


@pytest.mark.parametrize(('hidden', 'level'), [(0.1, 0), (0.4, 1), (0.75, 2), (0.9, 3)])
def test_occlusion_level_follows_the_visible_share(hidden, level):
    # A wall 1 m before the car that covers the given share of its width, from the left.
    car, width = block(20.0, size=(1.0, 4.0, 1.5)), 4.0 * hidden
    labels = labels_of(car, wall(18.5, width + 4.0, 2.0 - width / 2 + 2.0))
    assert labels.name.tolist() == ['Car']
    assert labels.occluded[0] == level


def test_hidden_object_is_not_labelled():
    assert len(labels_of(block(20.0), wall(10.0, 4.0))) == 0


@pytest.mark.parametrize(
    'vague',
    [
        block(88.0, 6.0),
        block(60.0, 6.0, size=(0.5, 0.5, 0.5), category='human.pedestrian.adult', kind='child'),
        block(1.0, 2.5, size=(6.0, 1.0, 1.5)),
    ],
    ids=['far', 'small', 'beside'],
)
def test_vague_objects_are_dont_care_regions_after_the_others(vague):
    labels = labels_of(vague, block(20.0))
    assert labels.name.tolist() == ['Car', 'DontCare']
    assert labels.occluded[1] == -1
    assert labels.location[1].tolist() == [-1000, -1000, -1000]
    assert (labels.bbox[1, 2:] > labels.bbox[1, :2]).all()


def test_smallness_is_judged_at_full_scale():
    child = block(40.0, size=(0.5, 0.5, 1.0), category='human.pedestrian.adult', kind='child')
    assert labels_of(child).name.tolist() == labels_of(child, scale=0.25).name.tolist() == ['Pedestrian']
    small = labels_of(child, scale=0.25).bbox[0]
    assert small[3] - small[1] < 10


def test_labels_follow_the_ground():
    hill = Road(bend=((0.0, 100.0, 0.0),), hill=((0.05, 100.0, 0.0),), lane_width=3.5, lanes=(1, 1), kerb=0.1)
    caster, camera, rendering = look(small_scene(block(20.0), road=hill))
    labels = label_frame(caster, view_actors(caster, camera, rendering), camera.cam2world, SHAPE)
    ground = float(hill.height(20.0))
    assert ground > 0.3
    assert labels.location[0, 1] == pytest.approx(CAMERA_HEIGHT - ground - GROUND_CLEARANCE, abs=0.02)


def test_file_of_a_frame_without_objects_is_empty(tmp_path):
    write_label(tmp_path / 'a.txt', labels_of(), with_score=False)
    assert (tmp_path / 'a.txt').read_text() == ''
    write_label(tmp_path / 'b.txt', labels_of(block(20.0), block(88.0, 2.0)), with_score=False)
    assert read_label(tmp_path / 'b.txt').name.tolist() == ['Car', 'DontCare']
