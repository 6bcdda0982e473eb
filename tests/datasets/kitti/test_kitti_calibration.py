from __future__ import annotations

import numpy as np
import pytest
from kitti_files import CAM2IMG, VELO_TO_CAM, calib_text

from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.utils.errors import DataError


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / '000000.txt'
        path.write_text(calib_text(**changes))
        return path

    return write


def test_matrices_are_extended_to_4x4(write):
    calib = read_calib(write())
    np.testing.assert_allclose(calib.P2[:3], CAM2IMG)
    for matrix in (calib.P2, calib.R0_rect, calib.Tr_velo_to_cam, *calib.others.values()):
        assert matrix.shape == (4, 4)
        assert matrix[3].tolist() == [0, 0, 0, 1]
    assert calib.cam2img is calib.P2


def test_lidar2cam_rectifies_after_the_move_to_the_camera(write):
    turn = '0 -1 0 1 0 0 0 0 1'
    calib = read_calib(write(R0_rect=turn))
    np.testing.assert_allclose(calib.lidar2cam[:3], np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ VELO_TO_CAM)


def test_matrices_the_package_does_not_need_may_be_absent(write):
    assert set(read_calib(write(P0=None, Tr_imu_to_velo=None)).others) == {'P1', 'P3'}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'P2': None}, 'lacks P2'),
        ({'P2': None, 'R0_rect': None}, 'lacks P2, R0_rect'),
        ({'Tr_velo_to_cam': '1 2 3'}, r'Tr_velo_to_cam has 3 values, expected 12 \(3x4\)'),
        ({'R0_rect': '1 0 0 0 1 0 0 0 nan'}, 'R0_rect holds values that are not finite'),
        ({'R0_rect': '1 0 0 0 1 0 0 0 one'}, 'R0_rect holds something that is not a number.*one'),
        ({'P0': '1 2'}, 'P0 has 2 values'),
    ],
)
def test_faults_are_named(write, changes, message):
    with pytest.raises(DataError, match=message):
        read_calib(write(**changes))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r'cannot read the calibration .*nowhere\.txt'):
        read_calib(tmp_path / 'nowhere.txt')


def test_binary_file_is_refused(tmp_path):
    (tmp_path / 'a.txt').write_bytes(bytes(range(128, 256)))
    with pytest.raises(DataError, match='cannot read the calibration'):
        read_calib(tmp_path / 'a.txt')


@pytest.mark.real
def test_real_file_holds_the_numbers_of_the_text(kitti_real):
    calib = read_calib(kitti_real / 'training/calib/000003.txt')
    assert calib.P2[0].tolist() == [721.5377, 0.0, 609.5593, 44.85728]
    assert calib.P2[2, 3] == 0.002745884
    assert calib.Tr_velo_to_cam[2, 3] == -0.2717806
    assert calib.R0_rect[1, 0] == -0.009869795
    # Rotations stay rotations; the file's seven digits allow no more than this.
    np.testing.assert_allclose(calib.lidar2cam[:3, :3] @ calib.lidar2cam[:3, :3].T, np.eye(3), atol=1e-6)
