"""The unmodified devkit loads the data set, evaluates it, and finds every sensor where the world has it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from pyquaternion import Quaternion

from mono_distill.synthetic.nuscenes.annotations import MAX_DISTANCE
from mono_distill.synthetic.nuscenes.keyframe import SECOND, point_file
from mono_distill.synthetic.nuscenes.rig import CAMERAS, CHANNELS, LIDAR
from mono_distill.synthetic.nuscenes.tables import ATTRIBUTES
from mono_distill.synthetic.scene import CATEGORIES, GROUND_CLEARANCE
from mono_distill.synthetic.visibility import view_actors

# What the devkit and MMDetection3D's converter read.
FIELDS = {
    'category': 'token name description',
    'attribute': 'token name description',
    'visibility': 'token level description',
    'sensor': 'token channel modality',
    'calibrated_sensor': 'token sensor_token translation rotation camera_intrinsic',
    'ego_pose': 'token timestamp translation rotation',
    'log': 'token logfile vehicle date_captured location',
    'scene': 'token name description log_token nbr_samples first_sample_token last_sample_token',
    'sample': 'token timestamp scene_token prev next',
    'sample_data': 'token sample_token ego_pose_token calibrated_sensor_token filename fileformat width height '
    'timestamp is_key_frame prev next',
    'sample_annotation': 'token sample_token instance_token attribute_tokens visibility_token translation size '
    'rotation num_lidar_pts num_radar_pts prev next',
    'instance': 'token category_token nbr_annotations first_annotation_token last_annotation_token',
    'map': 'token log_tokens category filename',
}


def pose(record: dict) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(record['rotation']).rotation_matrix
    matrix[:3, 3] = record['translation']
    return matrix


def sensor2global(nusc, data: dict) -> np.ndarray:
    calibration = nusc.get('calibrated_sensor', data['calibrated_sensor_token'])
    return pose(nusc.get('ego_pose', data['ego_pose_token'])) @ pose(calibration)


def follow(nusc, table: str, first: str) -> list[dict]:
    """Walk from the first row of a list to its last, checking that the way back is the same."""
    rows = [nusc.get(table, first)]
    assert rows[0]['prev'] == ''
    while rows[-1]['next']:
        rows.append(nusc.get(table, rows[-1]['next']))
        assert rows[-1]['prev'] == rows[-2]['token']
    return rows


def test_all_thirteen_tables_hold_the_devkits_fields(truth):
    folder = truth.options.out / 'v1.0-mini'
    assert sorted(path.stem for path in folder.iterdir()) == sorted(FIELDS)
    for table, fields in FIELDS.items():
        rows = json.loads((folder / f'{table}.json').read_text())
        assert rows
        assert all(set(fields.split()) <= set(row) for row in rows)
        tokens = [row['token'] for row in rows]
        assert len(set(tokens)) == len(tokens)


def test_samples_follow_one_another_twice_a_second(truth):
    for scene in truth.nusc.scene:
        samples = follow(truth.nusc, 'sample', scene['first_sample_token'])
        assert samples[-1]['token'] == scene['last_sample_token']
        assert len(samples) == scene['nbr_samples'] == truth.options.keyframes
        assert set(np.diff([sample['timestamp'] for sample in samples])) == {500_000}
        assert all(set(sample['data']) == set(CHANNELS) for sample in samples)


def test_every_file_of_a_sensor_is_in_its_list(truth):
    listed = 0
    for sample in truth.nusc.sample:
        if sample['prev']:
            continue
        for channel in CHANNELS:
            first = truth.nusc.get('sample_data', sample['data'][channel])
            while first['prev']:
                first = truth.nusc.get('sample_data', first['prev'])
            rows = follow(truth.nusc, 'sample_data', first['token'])
            times = [row['timestamp'] for row in rows]
            assert set(np.diff(times)) == {50_000 if channel == LIDAR else 500_000}
            assert all((truth.options.out / row['filename']).is_file() for row in rows)
            listed += len(rows)
    assert listed == len(truth.nusc.sample_data)


def test_ten_sweeps_precede_every_key_frame(truth):
    for sample in truth.nusc.sample:
        data = truth.nusc.get('sample_data', sample['data'][LIDAR])
        for _ in range(10):
            data = truth.nusc.get('sample_data', data['prev'])
            assert sample['timestamp'] - data['timestamp'] <= 500_000


def test_tracks_are_linked_in_time(truth):
    annotated = 0
    for instance in truth.nusc.instance:
        rows = follow(truth.nusc, 'sample_annotation', instance['first_annotation_token'])
        assert rows[-1]['token'] == instance['last_annotation_token']
        assert len(rows) == instance['nbr_annotations']
        assert {row['instance_token'] for row in rows} == {instance['token']}
        times = [truth.nusc.get('sample', row['sample_token'])['timestamp'] for row in rows]
        assert times == sorted(times)
        annotated += len(rows)
    assert annotated == len(truth.nusc.sample_annotation)


def test_images_have_the_size_in_the_tables(truth):
    for data in truth.nusc.sample_data:
        if data['fileformat'] == 'jpg':
            assert cv2.imread(str(truth.options.out / data['filename'])).shape == (data['height'], data['width'], 3)


def test_the_validation_scene_holds_every_class_within_its_range(truth):
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.utils import category_to_detection_name

    ranges = config_factory('detection_cvpr_2019').class_range
    found = {name: Counter() for name in ('scene-0061', 'scene-0103')}
    for job in truth.jobs:
        sample = truth.sample(job)
        car = truth.nusc.get('ego_pose', sample['data'][LIDAR])['translation']
        for row in (truth.nusc.get('sample_annotation', each) for each in sample['anns']):
            name = category_to_detection_name(row['category_name'])
            near = np.linalg.norm(np.subtract(row['translation'], car)[:2]) < ranges[name]
            found[job.name][name] += near and row['num_lidar_pts'] > 0
    assert all(len(+counts) == len(CATEGORIES) for counts in found.values()), found


def test_ground_truth_as_predictions_gets_full_marks(truth, tmp_path: Path):
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval
    from nuscenes.eval.detection.utils import category_to_detection_name

    results = {}
    for job in truth.jobs:
        if job.name != 'scene-0103':
            continue
        sample = truth.sample(job)
        boxes = [truth.nusc.get('sample_annotation', each) for each in sample['anns']]
        results[sample['token']] = [
            {
                'sample_token': sample['token'],
                'translation': box['translation'],
                'size': box['size'],
                'rotation': box['rotation'],
                'velocity': np.nan_to_num(truth.nusc.box_velocity(box['token'])[:2]).tolist(),
                'detection_name': category_to_detection_name(box['category_name']),
                'detection_score': 1.0,
                'attribute_name': ''.join(
                    truth.nusc.get('attribute', each)['name'] for each in box['attribute_tokens']
                ),
            }
            for box in boxes
            # As with any detector's output: what no sensor touches is not predicted.
            if box['num_lidar_pts'] > 0
        ]
    meta = {f'use_{name}': False for name in ('camera', 'lidar', 'radar', 'map', 'external')}
    file = tmp_path / 'results.json'
    file.write_text(json.dumps({'meta': meta, 'results': results}))
    config = config_factory('detection_cvpr_2019')
    evaluation = DetectionEval(truth.nusc, config, str(file), 'mini_val', str(tmp_path / 'out'), verbose=False)
    metrics, _ = evaluation.evaluate()
    assert metrics.mean_ap == pytest.approx(1, abs=1e-9)
    assert metrics.nd_score == pytest.approx(1, abs=1e-6)


def test_boxes_project_onto_the_rendered_objects(truth):
    from nuscenes.utils.geometry_utils import view_points

    of_boxes, of_bodies = [], []
    for job in truth.jobs[::2] + truth.jobs[-1:]:
        actors = truth.actors(job)
        for channel in CAMERAS:
            views = {view.actor: view for view in view_actors(*truth.look(job, channel))}
            data = truth.nusc.get('sample_data', truth.sample(job)['data'][channel])
            _, boxes, intrinsic = truth.nusc.get_sample_data(data['token'])
            global2cam = np.linalg.inv(sensor2global(truth.nusc, data))
            for box in boxes:
                row = truth.nusc.get('sample_annotation', box.token)
                index, actor = actors[row['instance_token']]
                view = views.get(index)
                # Between the camera's and the LiDAR's moment others move on.
                if view is None or view.visible < 0.9 or view.truncated > 0 or view.pixels < 60 or actor.track.speed:
                    continue
                of_boxes.append(iou(outline(view_points(box.corners(), intrinsic, normalize=True)), view.bbox_full))
                body = global2cam @ actor2global(row)
                points = body[:3, :3] @ actor.mesh.vertices.T + body[:3, 3:]
                of_bodies.append(iou(outline(view_points(points, intrinsic, normalize=True)), view.bbox_full))
    assert len(of_boxes) >= 20
    # A box's corners stand out beyond a body, most of all beyond a walker's or a rider's.
    assert np.mean(of_boxes) >= 0.84
    # The body itself, put where the label says.
    assert np.mean(of_bodies) >= 0.97


def actor2global(row: dict) -> np.ndarray:
    """Return where a label says that its body stands."""
    matrix = pose(row)
    matrix[2, 3] -= row['size'][2] / 2 + GROUND_CLEARANCE
    return matrix


def outline(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points[:2].min(axis=1), points[:2].max(axis=1)])


def iou(first: np.ndarray, second: np.ndarray) -> float:
    shared = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None).prod()
    return float(shared / (np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]) - shared))


def test_points_in_a_box_are_on_its_object(truth):
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box

    on_object = inside = 0
    for job in truth.jobs:
        path, boxes, _ = truth.nusc.get_sample_data(truth.sample(job)['data'][LIDAR])
        cloud, truth_of_cloud = LidarPointCloud.from_file(path), truth.sweep(job)
        np.testing.assert_array_equal(cloud.points.T, point_file(truth_of_cloud)[:, :4])
        actors = truth.actors(job)
        for box in boxes:
            row = truth.nusc.get('sample_annotation', box.token)
            within = points_in_box(box, cloud.points[:3])
            assert abs(int(within.sum()) - row['num_lidar_pts']) <= 1
            inside += int(within.sum())
            on_object += int((truth_of_cloud.actor[within] == actors[row['instance_token']][0]).sum())
    assert inside > 500
    assert on_object / inside >= 0.99


def test_point_files_hold_intensity_and_ring(truth):
    file = truth.nusc.get_sample_data_path(truth.nusc.sample[0]['data'][LIDAR])
    points = np.fromfile(file, np.float32).reshape(-1, 5)
    assert len(points) > 10000
    assert 0 <= points[:, 3].min() < 20 < points[:, 3].max() <= 255
    assert set(points[:, 4]) <= set(range(32))
    lowest, highest = (
        np.arctan2(p[:, 2], np.hypot(p[:, 0], p[:, 1])) for p in (points[points[:, 4] == r] for r in (0, 25))
    )
    assert lowest.max() < highest.min()


def test_lidar_points_land_on_the_rendered_depth(truth):
    job = truth.jobs[-1]
    sample, cloud = truth.sample(job), truth.sweep(job)
    lidar = sensor2global(truth.nusc, truth.nusc.get('sample_data', sample['data'][LIDAR]))
    # Actors move between the LiDAR's and the camera's moment.
    points = cloud.points[cloud.actor < 0] @ lidar[:3, :3].T + lidar[:3, 3]
    errors = []
    for channel in CAMERAS:
        data = truth.nusc.get('sample_data', sample['data'][channel])
        intrinsic = np.array(truth.nusc.get('calibrated_sensor', data['calibrated_sensor_token'])['camera_intrinsic'])
        depth = truth.look(job, channel)[2].depth
        global2cam = np.linalg.inv(sensor2global(truth.nusc, data))
        local = points @ global2cam[:3, :3].T + global2cam[:3, 3]
        local = local[local[:, 2] > 1]
        u, v = (local @ intrinsic.T)[:, :2].T / local[:, 2]
        inside = (u > 1) & (v > 1) & (u < depth.shape[1] - 2) & (v < depth.shape[0] - 2)
        local, u, v = local[inside], u[inside], v[inside]
        corners = np.stack([depth[v.astype(int) + dv, u.astype(int) + du] for dv in (0, 1) for du in (0, 1)])
        # Where one surface fills the pixels around; elsewhere the two sensors may see different ones.
        smooth = (corners.min(axis=0) > 0) & (np.ptp(corners, axis=0) < 0.03 * corners.min(axis=0))
        seen = cv2.remap(depth, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)[:, 0]
        errors.append((local[:, 2] - seen)[smooth] / seen[smooth])
    error = np.abs(np.concatenate(errors))
    assert len(error) > 2000
    assert np.median(error) < 0.003
    assert np.mean(error < 0.02) > 0.95


def test_ten_sweeps_pile_up_on_what_stands_still(truth):
    from nuscenes.utils.data_classes import LidarPointCloud

    job = truth.jobs[-1]
    sample, scene, actors = truth.sample(job), truth.scene(job), truth.actors(job)
    cloud, ages = LidarPointCloud.from_file_multisweep(truth.nusc, sample, LIDAR, LIDAR, nsweeps=10)
    lidar = sensor2global(truth.nusc, truth.nusc.get('sample_data', sample['data'][LIDAR]))
    points = cloud.points[:3].T @ lidar[:3, :3].T + lidar[:3, 3]
    world2global = sensor2global_of_world(truth, job, lidar)
    gaps, piled, single = [], 0, 0
    for row in (truth.nusc.get('sample_annotation', each) for each in sample['anns']):
        _, actor = actors[row['instance_token']]
        if actor.track.speed or row['num_lidar_pts'] < 10:
            continue
        body = world2global @ scene.actor_pose(actor, job.time / SECOND)
        local = (points - body[:3, 3]) @ body[:3, :3]
        low, high = actor.mesh.bounds
        near = ((local > low - 0.1) & (local < high + 0.1)).all(axis=1) & (local[:, 2] > 0.1)
        piled += near.sum()
        single += row['num_lidar_pts']
        # Noise included, all sweeps end at the box of the body.
        outside = np.maximum(local[near] - high, low - local[near]).max(axis=1)
        gaps.append(np.percentile(outside, 95))
    assert len(set(np.round(ages[0], 2))) == 10
    assert piled > 6 * single
    assert len(gaps) >= 3
    assert np.median(gaps) < 0.05


def sensor2global_of_world(truth, job, lidar2global: np.ndarray) -> np.ndarray:
    """Return the pose of the scene's world in the global frame from where the LiDAR is in both."""
    from mono_distill.synthetic.nuscenes.rig import scene_rig

    mount = scene_rig(truth.options.seed, job.scene, truth.options.image_scale)[LIDAR]
    return lidar2global @ np.linalg.inv(truth.scene(job).ego_pose(job.time / SECOND) @ mount.sensor2ego)


def test_velocities_are_those_of_the_world(truth):
    job = truth.jobs[4]
    sample, scene, actors = truth.sample(job), truth.scene(job), truth.actors(job)
    lidar = sensor2global(truth.nusc, truth.nusc.get('sample_data', sample['data'][LIDAR]))
    turn = sensor2global_of_world(truth, job, lidar)[:3, :3]
    errors = []
    for each in sample['anns']:
        row = truth.nusc.get('sample_annotation', each)
        if row['prev'] and row['next']:
            actor = actors[row['instance_token']][1]
            expected = turn @ scene.actor_velocity(actor, job.time / SECOND)
            errors.append(np.abs(truth.nusc.box_velocity(each) - expected)[:2].max())
    assert len(errors) >= 10
    assert max(errors) < 0.1


def test_attributes_fit_category_and_motion(truth):
    for job in truth.jobs:
        actors = truth.actors(job)
        for row in (truth.nusc.get('sample_annotation', each) for each in truth.sample(job)['anns']):
            names = [truth.nusc.get('attribute', each)['name'] for each in row['attribute_tokens']]
            speed = abs(actors[row['instance_token']][1].track.speed)
            assert len(names) == (not row['category_name'].startswith('movable_object'))
            assert set(names) <= set(ATTRIBUTES)
            if names and not names[0].startswith('cycle'):
                assert names[0].endswith('.moving') == (speed > 0.2)


def test_what_is_annotated_is_near_and_seen(truth):
    for sample in truth.nusc.sample:
        car = truth.nusc.get('ego_pose', sample['data'][LIDAR])['translation']
        for row in (truth.nusc.get('sample_annotation', each) for each in sample['anns']):
            assert np.linalg.norm(np.subtract(row['translation'], car)[:2]) < MAX_DISTANCE + 1
            assert row['visibility_token'] in '1234'
    assert {row['visibility_token'] for row in truth.nusc.sample_annotation} >= {'1', '4'}


def test_cameras_differ_from_the_lidar_by_the_cars_motion(truth):
    job = truth.jobs[0]
    sample, speed = truth.sample(job), truth.scene(job).ego.speed
    lidar = truth.nusc.get('ego_pose', sample['data'][LIDAR])
    for channel, numbers in CAMERAS.items():
        camera = truth.nusc.get('ego_pose', sample['data'][channel])
        assert camera['timestamp'] - lidar['timestamp'] == numbers.trigger
        moved = np.linalg.norm(np.subtract(camera['translation'], lidar['translation']))
        assert moved == pytest.approx(abs(numbers.trigger) / SECOND * abs(speed), rel=0.05)


def test_the_car_drives_on_the_mapped_road(truth):
    for row in truth.nusc.map:
        scenes = [scene for scene in truth.nusc.scene if scene['log_token'] in row['log_tokens']]
        assert len(scenes) == 1
        samples = follow(truth.nusc, 'sample', scenes[0]['first_sample_token'])
        places = np.array([truth.nusc.get('ego_pose', sample['data'][LIDAR])['translation'] for sample in samples])
        assert row['mask'].is_on_mask(places[:, 0], places[:, 1]).all()
        assert not row['mask'].is_on_mask(places[:, 0] + 60, places[:, 1] + 60).all()


def test_rotations_are_unit_quaternions(truth):
    for table in (truth.nusc.ego_pose, truth.nusc.calibrated_sensor, truth.nusc.sample_annotation):
        norms = np.linalg.norm([row['rotation'] for row in table], axis=1)
        np.testing.assert_allclose(norms, 1, atol=1e-12)
