"""Points of a scan, cropped to what the camera sees."""

import numpy as np
import pytest
from kitti_bev_samples import CAM2IMG, SHAPE, lidar2cam

from mono_distill.datasets import LoadKittiBEVPoints
from mono_distill.utils.errors import DataError

AHEAD, BEHIND, BESIDE = [10.0, 0, 0, 0.5], [-10.0, 0, 0, 0.5], [2.0, 30, 0, 0.5]


@pytest.fixture
def frame(tmp_path):
    np.array([AHEAD, BEHIND, BESIDE], dtype='<f4').tofile(tmp_path / '000000.bin')
    return {
        'sample_id': '000000',
        'lidar_path': str(tmp_path / '000000.bin'),
        'lidar2cam': lidar2cam(),
        'cam2img': CAM2IMG,
        'ori_shape': SHAPE,
    }


def test_only_points_in_view_stay(frame):
    assert LoadKittiBEVPoints()(frame)['points'].tensor.tolist() == [AHEAD]


def test_all_points_stay_if_wanted(frame):
    assert len(LoadKittiBEVPoints(in_view=False)(frame)['points'].tensor) == 3


@pytest.mark.parametrize('in_view', [True, False])
@pytest.mark.filterwarnings('error:The given NumPy array is not writable')
def test_points_may_be_changed(frame, in_view):
    load = LoadKittiBEVPoints(in_view=in_view)
    points = load(dict(frame))['points']
    before = points.tensor.tolist()
    points.tensor[:, 1] += 1
    assert points.tensor.tolist() == [[x, y + 1, z, intensity] for x, y, z, intensity in before]
    assert load(dict(frame))['points'].tensor.tolist() == before


def test_a_missing_scan_names_the_frame(frame):
    with pytest.raises(DataError, match='frame 000000: the infos name no LiDAR scan'):
        LoadKittiBEVPoints()({**frame, 'lidar_path': None})
    with pytest.raises(DataError, match='frame 000000: cannot read'):
        LoadKittiBEVPoints()({**frame, 'lidar_path': frame['lidar_path'] + 'x'})
