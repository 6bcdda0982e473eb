from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time

import pytest
from kitti_files import write_folder, write_frame, write_split

from mono_distill.datasets.kitti.frame import FrameOptions
from mono_distill.datasets.kitti.images import is_whole_png
from mono_distill.datasets.kitti.layout import KittiFolder, open_output
from mono_distill.datasets.kitti.prepare import prepare_kitti
from mono_distill.utils.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / 'kitti', training=4, testing=1)


def prepare(root, out=None, workers=1, progress=None, **switches):
    source = KittiFolder(root)
    options = FrameOptions(source=source, output=open_output(source, out), **switches)
    return prepare_kitti(options, workers=workers, progress=progress)


def load(root, split):
    return pickle.loads((root / f'kitti_infos_{split}.pkl').read_bytes())


def ids(root, split):
    return [entry['sample_id'] for entry in load(root, split)['data_list']]


def contents(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file() and path.name != 'prepare_report.json'
    }


def test_without_lists_all_labelled_frames_are_trainval(root):
    report = prepare(root)
    assert ids(root, 'trainval') == ['000000', '000001', '000002', '000003']
    assert ids(root, 'test') == ['000000']
    assert not (root / 'kitti_infos_train.pkl').exists()
    assert report['splits']['train']['file'] is None
    assert report['subsets']['training']['depth_maps'] == {'written': 4, 'kept': 0, 'none': 0}


def test_lists_choose_the_frames_and_absent_ones_are_counted(root):
    write_split(root, 'train', '000002', '000000', '000077')
    write_split(root, 'val', '000001', '000099')
    report = prepare(root)
    assert ids(root, 'train') == ['000000', '000002']
    assert ids(root, 'val') == ['000001']
    assert ids(root, 'trainval') == ['000000', '000001', '000002', '000003']
    assert report['splits']['train']['absent'] == 1
    assert report['splits']['train']['first_absent'] == ['000077']


def test_list_without_any_present_frame_writes_no_infos(root):
    write_split(root, 'val', '000088')
    assert prepare(root)['splits']['val'] | {'listed_in': ''} == {
        'listed_in': '',
        'listed': 1,
        'prepared': 0,
        'refused': 0,
        'absent': 1,
        'first_absent': ['000088'],
        'file': None,
    }
    assert not (root / 'kitti_infos_val.pkl').exists()


def test_refused_frame_is_reported_and_left_out(root):
    (root / 'training/velodyne/000001.bin').write_bytes(b'short')
    report = prepare(root)
    (refused,) = report['subsets']['training']['refused']
    assert (refused['sample_id'], refused['part']) == ('000001', 'velodyne')
    assert 'not a multiple of 16' in refused['reason']
    assert ids(root, 'trainval') == ['000000', '000002', '000003']
    assert report['splits']['trainval']['refused'] == 1
    assert json.loads((root / 'prepare_report.json').read_text()) == report


def test_run_fails_only_if_every_frame_is_refused(root):
    for path in (root / 'training/calib').iterdir():
        path.unlink()
    prepare(root)
    assert ids(root, 'test') == ['000000']
    (root / 'testing/calib/000000.txt').unlink()
    with pytest.raises(DataError, match='all 5 frames were refused; the first because of its calib: .* is missing'):
        prepare(root)
    assert len(json.loads((root / 'prepare_report.json').read_text())['subsets']['training']['refused']) == 4


def test_info_file_that_cannot_be_written_is_named(root):
    (root / 'kitti_infos_trainval.pkl').mkdir()
    with pytest.raises(DataError, match=r'cannot write .*kitti_infos_trainval\.pkl'):
        prepare(root)


def test_faulty_list_stops_before_any_frame(root):
    write_split(root, 'train', 'first')
    with pytest.raises(DataError, match="'first' is not a frame number"):
        prepare(root)
    assert not (root / 'training/depth_dense').exists()


def test_no_worker_and_no_frame_are_refused(root, tmp_path):
    with pytest.raises(ConfigError, match='workers must be at least 1'):
        prepare(root, workers=0)
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ConfigError, match='holds no frames'):
        prepare(tmp_path / 'empty')


def test_separate_output_leaves_the_source_untouched(root, tmp_path):
    before = contents(root)
    prepare(root, tmp_path / 'out')
    assert contents(root) == before
    entry = load(tmp_path / 'out', 'trainval')['data_list'][0]
    assert (tmp_path / 'out' / entry['depth_map']['dense']).is_file()
    assert (tmp_path / 'out' / 'training' / 'image_2' / entry['images']['CAM2']['img_path']).is_file()


def test_output_does_not_depend_on_the_number_of_workers(root, tmp_path):
    (root / 'training/velodyne/000001.bin').write_bytes(b'short')
    report = prepare(root, tmp_path / 'one', workers=1)
    again = prepare(root, tmp_path / 'two', workers=2)
    assert contents(tmp_path / 'one') == contents(tmp_path / 'two')
    assert report | {'output': ''} == again | {'output': ''}


def test_progress_sees_every_frame(root):
    seen = []

    def progress(results, total):
        assert total == 5
        for result in results:
            seen.append((result.subset, result.sample_id))
            yield result

    prepare(root, progress=progress)
    assert seen == [('training', f'{n:06d}') for n in range(4)] + [('testing', '000000')]


def test_interrupted_run_is_continued(root, tmp_path):
    def interrupt(results, _total):
        for number, result in enumerate(results):
            if number == 2:
                raise KeyboardInterrupt
            yield result

    with pytest.raises(KeyboardInterrupt):
        prepare(root, tmp_path / 'out', progress=interrupt)
    assert not list((tmp_path / 'out').glob('kitti_infos_*'))
    report = prepare(root, tmp_path / 'out')
    assert report['subsets']['training']['depth_maps'] == {'written': 1, 'kept': 3, 'none': 0}
    prepare(root, tmp_path / 'whole')
    assert contents(tmp_path / 'out') == contents(tmp_path / 'whole')


def test_camera_only_preparation_writes_infos_alone(root):
    for path in (root / 'training/velodyne').iterdir():
        path.unlink()
    report = prepare(root, lidar=False)
    assert report['subsets']['training']['depth_maps'] == {'written': 0, 'kept': 0, 'none': 4}
    assert len(ids(root, 'trainval')) == 4
    assert not (root / 'training/depth_dense').exists()


@pytest.mark.parametrize(
    ('load_type', 'box_type'), [('frame_based', 'Camera'), ('frame_based', 'LiDAR'), ('fov_image_based', 'Camera')]
)
def test_mmdet3d_reads_the_infos(root, load_type, box_type):
    from mmdet3d.datasets import KittiDataset

    if load_type == 'frame_based':
        # A frame without objects; mmdet3d's image-based loading stops at those, whoever wrote the infos.
        write_frame(root, '000002', label='')
    prepare(root)
    data_set = KittiDataset(
        data_root=str(root),
        ann_file='kitti_infos_trainval.pkl',
        data_prefix=dict(img='training/image_2', pts='training/velodyne'),
        modality=dict(use_camera=True, use_lidar=True),
        load_type=load_type,
        box_type_3d=box_type,
        metainfo=dict(classes=('Pedestrian', 'Cyclist', 'Car')),
        filter_empty_gt=False,
    )
    assert len(data_set) == 4
    info = data_set.get_data_info(1)
    assert os.path.isfile(info['img_path'])
    assert os.path.isfile(info['lidar_path'])
    assert info['ann_info']['gt_labels_3d'].tolist() == [2]
    if box_type == 'Camera':
        boxes = info['ann_info']['gt_bboxes_3d'].tensor[0].tolist()
        assert boxes == pytest.approx([0.5, 1.6, 10.0, 4.0, 1.5, 1.6, 0.35])
    assert len(data_set.get_data_info(2)['ann_info']['gt_labels_3d']) == (load_type != 'frame_based')


def test_mmdet3d_metric_reads_the_infos(root):
    from mmdet3d.evaluation.metrics import KittiMetric

    write_frame(root, '000002', label='')
    prepare(root)
    metric = KittiMetric(ann_file=str(root / 'kitti_infos_trainval.pkl'))
    annos = [entry['kitti_annos'] for entry in metric.convert_annos_to_kitti_annos(load(root, 'trainval'))]
    assert annos[0]['name'].tolist() == ['Car', 'DontCare']
    assert annos[0]['dimensions'][0].tolist() == [4.0, 1.5, 1.6]
    assert annos[0]['occluded'].tolist() == [1, -1]
    assert len(annos[2]['name']) == 0


@pytest.mark.slow
@pytest.mark.skipif(os.name != 'posix', reason='SIGKILL')
def test_killed_run_leaves_whole_files_and_no_workers(tmp_path):
    root = write_folder(tmp_path / 'kitti', training=150)
    command = [sys.executable, '-m', 'mono_distill.cli.main', 'prepare', 'kitti', '--root', str(root), '--workers', '2']
    run = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    dense = root / 'training/depth_dense'
    deadline = time.monotonic() + 120
    while not (dense.is_dir() and any(dense.glob('[0-9]*.png'))):
        assert run.poll() is None, 'the run ended before it was killed'
        assert time.monotonic() < deadline, 'the run wrote nothing'
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    deadline = time.monotonic() + 30
    while _session_is_alive(run.pid):
        assert time.monotonic() < deadline, 'workers outlive their parent'
        time.sleep(0.05)
    written = list(root.glob('training/depth_*/[0-9]*.png'))
    assert written
    assert all(is_whole_png(path) for path in written)
    assert not list(root.glob('kitti_infos_*'))
    counts = prepare(root)['subsets']['training']['depth_maps']
    assert counts['kept'] > 0
    assert counts['kept'] + counts['written'] == 150


def _session_is_alive(session):
    """Whether a process of the session is left (the resource tracker included)."""
    try:
        os.killpg(session, 0)
    except ProcessLookupError:
        return False
    return True
