from __future__ import annotations

import numpy as np
import pytest
from small_scene import CAMERA_HEIGHT, small_scene

from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.synthetic.kitti.rig import BASELINE, FULL_SHAPE, build_rig, image_scaling, image_shape, small_rotation


def rig_of(seed=0, scale=1.0, **scene):
    return build_rig(small_scene(**scene), np.random.default_rng(seed), image_scale=scale)


def read_back(rig, tmp_path):
    path = tmp_path / 'calib.txt'
    path.write_text(rig.calibration_text())
    return read_calib(path)


def test_file_has_the_lines_of_kitti_and_reads_back(tmp_path):
    rig = rig_of()
    text = rig.calibration_text()
    names = ['P0', 'P1', 'P2', 'P3', 'R0_rect', 'Tr_velo_to_cam', 'Tr_imu_to_velo']
    assert [line.split(':')[0] for line in text.splitlines() if line] == names
    assert text.endswith('\n\n')
    calib = read_back(rig, tmp_path)
    assert calib.P2[:3] == pytest.approx(rig.matrices['P2'], rel=1e-11)
    assert calib.lidar2cam == pytest.approx(rig.lidar2cam, abs=1e-11)


@pytest.mark.real
def test_numbers_are_close_to_those_of_a_real_file(kitti_real, tmp_path):
    real = read_calib(kitti_real / 'training/calib/000003.txt')
    for seed in range(10):
        calib = read_back(rig_of(seed), tmp_path)
        assert calib.P2[0, 0] == pytest.approx(real.P2[0, 0], rel=0.03)
        assert calib.P2[:2, 2] == pytest.approx(real.P2[:2, 2], abs=15)
        assert calib.P2[0, 3] == pytest.approx(real.P2[0, 3], rel=0.3)
        assert calib.P2[2, 3] == pytest.approx(real.P2[2, 3], rel=0.3)
        assert calib.others['P3'][0, 3] == pytest.approx(real.others['P3'][0, 3], rel=0.06)
        for ours, theirs in (
            (calib.R0_rect, real.R0_rect),
            (calib.Tr_velo_to_cam[:3, :3], real.Tr_velo_to_cam[:3, :3]),
            (calib.others['Tr_imu_to_velo'], real.others['Tr_imu_to_velo']),
        ):
            assert ours == pytest.approx(theirs, abs=0.01)
        # Only the height differs, with that of the camera.
        assert calib.Tr_velo_to_cam[:3, 3] == pytest.approx(real.Tr_velo_to_cam[:3, 3], abs=0.02)


def test_sequences_differ_and_a_sequence_repeats():
    assert rig_of(1).calibration_text() == rig_of(1).calibration_text()
    first, second = rig_of(1).matrices, rig_of(2).matrices
    assert all(not np.array_equal(first[name], second[name]) for name in first)


def test_rotations_are_rotations():
    rig = rig_of(3)
    for matrix in (
        rig.matrices['R0_rect'],
        rig.lidar2cam[:3, :3],
        rig.cam2ego[:3, :3],
        small_rotation((0.1, 0.2, 0.3)),
    ):
        assert matrix @ matrix.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_camera_is_where_the_scene_says_and_the_lidar_above_it():
    rig = rig_of()
    assert rig.cam2ego[2, 3] == pytest.approx(CAMERA_HEIGHT)
    # x right, y down, z forward in the ego frame's x forward, y left, z up.
    assert rig.cam2ego[:3, :3] == pytest.approx(np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]), abs=1e-12)
    assert rig.lidar2ego[:3, 3] == pytest.approx(rig.cam2ego[:3, 3] + [-0.27, 0.0, 0.08], abs=0.02)
    assert rig.lidar2ego[:3, :3] == pytest.approx(np.eye(3), abs=0.03)


def test_pitch_of_the_scene_raises_the_view():
    assert rig_of(pitch=0.02).cam2ego[2, 2] == pytest.approx(np.sin(0.02))


def test_right_cameras_are_a_baseline_away():
    rig = rig_of()
    for left, right in (('P0', 'P1'), ('P2', 'P3')):
        focal = rig.matrices[left][0, 0]
        assert (rig.matrices[left][0, 3] - rig.matrices[right][0, 3]) / focal == pytest.approx(BASELINE, abs=0.005)


@pytest.mark.parametrize('scale', [0.25, 0.5, 0.3])
def test_point_projects_to_the_same_relative_place_at_every_scale(scale):
    point = np.array([3.0, 1.0, 12.0, 1.0])
    (full_x, full_y, full_z), (x, y, z) = (rig_of(5, size).matrices['P2'] @ point for size in (1.0, scale))
    # The image begins half a pixel before the centre of its first pixel.
    assert [x / z + 0.5, y / z + 0.5] == pytest.approx(
        [scale * (full_x / full_z + 0.5), scale * (full_y / full_z + 0.5)]
    )
    assert image_shape(scale) == pytest.approx([scale * side for side in FULL_SHAPE], abs=0.5)
    # The last pixel of the full image lies in the last one of the scaled image, or at most half a pixel beyond it.
    last = image_scaling(scale) @ [FULL_SHAPE[1] - 1, FULL_SHAPE[0] - 1, 1]
    assert last[:2] == pytest.approx([image_shape(scale)[1] - 1, image_shape(scale)[0] - 1], abs=1.0)
