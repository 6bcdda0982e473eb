from __future__ import annotations

import numpy as np
import pytest
from kitti_files import wall_scan

from mono_distill.datasets.kitti.velodyne import read_velodyne
from mono_distill.utils.errors import DataError


def test_points_come_back_as_written(tmp_path):
    wall_scan().tofile(tmp_path / 'a.bin')
    np.testing.assert_array_equal(read_velodyne(tmp_path / 'a.bin'), wall_scan())


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'is empty'),
        (bytes(16 * 3 + 5), 'has 53 bytes, not a multiple of 16'),
        (np.array([[1, 2, 3, 0], [np.nan, 0, 0, 0], [0, np.inf, 0, 0]], '<f4').tobytes(), 'has 2 points'),
    ],
)
def test_faults_are_named(tmp_path, content, message):
    (tmp_path / 'a.bin').write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_velodyne(tmp_path / 'a.bin')


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r'cannot read the scan .*nowhere\.bin'):
        read_velodyne(tmp_path / 'nowhere.bin')
