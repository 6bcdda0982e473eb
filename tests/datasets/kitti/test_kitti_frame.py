from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from kitti_files import CAR, SHAPE, WALL_DEPTH, calib_text, wall_scan, write_frame

from mono_distill.datasets.kitti.depth_maps import read_depth_png
from mono_distill.datasets.kitti.frame import FrameOptions, prepare_frame
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.utils.errors import DataError

NAME = '000000'


@pytest.fixture
def folder(tmp_path):
    write_frame(tmp_path, NAME)
    write_frame(tmp_path, NAME, subset='testing', label=None)
    return KittiFolder(tmp_path)


def prepare(folder, subset='training', **switches):
    return prepare_frame(subset, NAME, FrameOptions(source=folder, output=folder, **switches))


def test_frame_gets_depth_maps_of_the_image_size(folder):
    result = prepare(folder)
    assert result.refused is None
    assert result.depth == 'written'
    sparse, dense = (read_depth_png(folder.root / result.info['depth_map'][kind]) for kind in ('sparse', 'dense'))
    assert sparse.shape == dense.shape == SHAPE
    assert 0.01 < (sparse > 0).mean() < 0.9 < (dense > 0).mean()
    for depth in (sparse, dense):
        np.testing.assert_allclose(depth[depth > 0], WALL_DEPTH, atol=1 / 512)


def test_lidar_points_are_counted_in_the_camera_frame(folder):
    # The wall's only box: thin, 2 m wide, 1 m high, exactly on the wall; points are 0.11 m by 0.3 m apart.
    folder.path('training', 'label_2', NAME).write_text(f'Car 0 0 0 1 1 50 40 1.0 0.2 2.0 0.0 0.5 {WALL_DEPTH} 0.0\n')
    (car,) = prepare(folder).info['instances']
    assert car['num_lidar_pts'] == pytest.approx((2.0 / 0.11) * (1.0 / 0.3), rel=0.3)


def test_testing_frame_needs_no_labels(folder):
    result = prepare(folder, 'testing')
    assert result.info['instances'] == []
    assert result.info['depth_map']['dense'] == f'testing/depth_dense/{NAME}.png'


def test_testing_frame_needs_no_scan(folder):
    folder.path('testing', 'velodyne', NAME).unlink()
    result = prepare(folder, 'testing')
    assert result.depth == 'none'
    assert 'depth_map' not in result.info


def test_without_lidar_scans_are_not_even_opened(folder):
    folder.path('training', 'velodyne', NAME).write_bytes(b'broken')
    result = prepare(folder, lidar=False)
    assert result.depth == 'none'
    assert 'depth_map' not in result.info
    assert 'num_lidar_pts' not in result.info['instances'][0]
    assert not (folder.root / 'training' / 'depth_dense').exists()


BREAK = {
    'image missing': ('image_2', None, 'is missing'),
    'image cut short': ('image_2', lambda content: content[:-30], 'does not decode'),
    'image empty': ('image_2', lambda _: b'', 'does not decode'),
    'labels missing': ('label_2', None, 'is missing'),
    'label with too few columns': ('label_2', lambda _: b'Car 0 0\n', '3 columns'),
    'label not a number': ('label_2', lambda content: content.replace(b'60.00', b'nan'), 'not finite'),
    'label of unknown class': ('label_2', lambda content: content.replace(b'Car', b'Bus'), "unknown class 'Bus'"),
    'calibration missing': ('calib', None, 'is missing'),
    'calibration without P2': ('calib', lambda _: calib_text(P2=None).encode(), 'lacks P2'),
    'calibration cut short': ('calib', lambda _: calib_text(Tr_velo_to_cam='1 2').encode(), 'has 2 values'),
    'scan missing': ('velodyne', None, 'is missing'),
    'scan empty': ('velodyne', lambda _: b'', 'is empty'),
    'scan cut short': ('velodyne', lambda content: content[:-3], 'not a multiple of 16'),
    'scan with NaN': ('velodyne', lambda c: c[:-16] + np.full(4, np.nan, '<f4').tobytes(), '1 points'),
    'scan outside the image': ('velodyne', lambda _: wall_scan(-20).tobytes(), 'no point of .* falls into the image'),
}


@pytest.mark.parametrize('fault', BREAK)
def test_faulty_file_refuses_the_frame_and_names_itself(folder, fault):
    part, change, message = BREAK[fault]
    path = folder.path('training', part, NAME)
    content = path.read_bytes()
    path.unlink()
    if change is not None:
        path.write_bytes(change(content))
    result = prepare(folder)
    assert result.info is None
    assert result.refused is not None
    assert result.refused[0] == part
    assert str(path) in result.refused[1]
    assert re.search(message, result.refused[1])
    assert not list(folder.root.rglob('depth_*/*'))


def test_whole_depth_maps_are_kept(folder):
    prepare(folder)
    path = folder.path('training', 'depth_dense', NAME)
    before = path.stat().st_mtime_ns
    result = prepare(folder)
    assert result.depth == 'kept'
    assert path.stat().st_mtime_ns == before
    assert result.info == prepare(folder, overwrite=True).info
    assert path.stat().st_mtime_ns > before


@pytest.mark.parametrize('keep', [0, 40, -1])
def test_depth_map_cut_short_is_written_again(folder, keep):
    prepare(folder)
    path = folder.path('training', 'depth_sparse', NAME)
    whole = path.read_bytes()
    path.write_bytes(whole[:keep])
    assert prepare(folder).depth == 'written'
    assert path.read_bytes() == whole


def test_depth_maps_of_another_origin_are_neither_used_nor_overwritten(folder):
    path = folder.path('training', 'depth_dense', NAME)
    path.parent.mkdir()
    cv2.imwrite(str(path), np.ones((30, 100), np.uint16))
    before = path.read_bytes()
    part, reason = prepare(folder).refused
    assert part == 'depth'
    assert '100x30 with 16 bits, expected a 16 bit grey PNG of 160x48' in reason
    assert path.read_bytes() == before
    assert prepare(folder, overwrite=True).refused is None
    assert read_depth_png(path).shape == SHAPE


def test_objects_without_extent_are_kept_and_reported(folder):
    flat = CAR.replace('1.50 1.60 4.00', '1.50 0.00 4.00')
    folder.path('training', 'label_2', NAME).write_text(f'{CAR}\n{flat}\n')
    result = prepare(folder)
    assert len(result.info['instances']) == 2
    assert result.warnings == ('object 1 (Car): 3D box without extent',)


def test_full_disk_stops_the_run(folder, monkeypatch):
    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mono_distill.datasets.kitti.frame.write_depth_png', fail)
    with pytest.raises(DataError, match=r'cannot write .*No space left'):
        prepare(folder)


@pytest.mark.real
def test_real_frame_with_a_cropped_scan_is_prepared(kitti_real, tmp_path):
    source = KittiFolder(kitti_real)
    for name in ('000000', '002155'):
        result = prepare_frame('training', name, FrameOptions(source=source, output=KittiFolder(tmp_path)))
        assert result.refused is None
        dense = read_depth_png(tmp_path / result.info['depth_map']['dense'])
        image = cv2.imread(str(source.path('training', 'image_2', name)))
        assert dense.shape == image.shape[:2]
        assert 0.5 < (dense > 0).mean() < 0.8
        # The pedestrian 8 m ahead and the van 10 m ahead.
        near = [item for item in result.info['instances'] if 0 < item['bbox_3d'][2] < 11]
        assert [item['num_lidar_pts'] > 300 for item in near] == [True]
