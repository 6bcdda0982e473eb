"""The KITTI writer: what it writes is complete, repeatable and accepted by everything that reads real KITTI."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mono_distill.datasets.kitti.calibration import read_calib
from mono_distill.datasets.kitti.frame import FrameOptions
from mono_distill.datasets.kitti.images import png_header
from mono_distill.datasets.kitti.labels import kitti_difficulty, read_label
from mono_distill.datasets.kitti.layout import KittiFolder, open_output
from mono_distill.datasets.kitti.prepare import prepare_kitti
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.kitti.writer import MANIFEST, write_kitti
from mono_distill.utils.errors import ConfigError, DataError

SETTINGS = dict(frames=6, seed=11, image_scale=0.25, frames_per_sequence=3, frame_gap=2.0)
NAMES = [f'{number:06d}' for number in range(6)]
PARTS = {'image_2': '.png', 'calib': '.txt', 'label_2': '.txt', 'velodyne': '.bin'}


def write(out, workers=1, resume=False, progress=None, **changes):
    return write_kitti(KittiOptions(out, **(SETTINGS | changes)), workers=workers, resume=resume, progress=progress)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two sequences of three frames, written by two processes."""
    folder = tmp_path_factory.mktemp('synthetic') / 'kitti'
    report = write(folder, workers=2)
    assert (report['written'], report['kept'], report['sequences']) == (6, 0, 2)
    assert report['splits'] == {'train': 3, 'val': 3, 'trainval': 6}
    return folder


@pytest.fixture(scope='module')
def prepared(root, tmp_path_factory):
    """The same, prepared as real KITTI is."""
    source = KittiFolder(root)
    output = open_output(source, tmp_path_factory.mktemp('prepared') / 'kitti')
    return output.root, prepare_kitti(FrameOptions(source=source, output=output))


def test_folder_is_a_kitti_root_and_says_what_it_is(root):
    expected = {f'training/{part}/{name}{suffix}' for part, suffix in PARTS.items() for name in NAMES}
    expected |= {f'ImageSets/{split}.txt' for split in ('train', 'val', 'trainval')} | {MANIFEST}
    assert contents(root).keys() == expected
    manifest = json.loads((root / MANIFEST).read_text())
    assert manifest == KittiOptions(root, **SETTINGS).manifest()
    assert [entry['frames'] for entry in manifest['sequences']] == [NAMES[:3], NAMES[3:]]
    assert (root / 'ImageSets/val.txt').read_text().split() == NAMES[3:]
    assert png_header(root / 'training/image_2/000000.png') == (94, 310, 8, 2)


def test_calibration_belongs_to_the_sequence(root):
    texts = [(root / f'training/calib/{name}.txt').read_text() for name in NAMES]
    assert len(set(texts[:3])) == len(set(texts[3:])) == 1
    assert texts[0] != texts[3]


def test_preparation_accepts_every_frame(prepared):
    _, report = prepared
    training = report['subsets']['training']
    assert (training['prepared'], training['refused'], training['warnings']) == (6, [], {})
    assert {split: entry['prepared'] for split, entry in report['splits'].items()} == {
        'train': 3,
        'val': 3,
        'trainval': 6,
        'test': 0,
    }


def test_ground_truth_as_prediction_scores_100(prepared):
    from mono_distill.evaluation.kitti_annos import full_size, load_frames
    from mono_distill.evaluation.metrics import KittiMonoMetric

    ann_file = prepared[0] / 'kitti_infos_trainval.pkl'
    classes = ('Pedestrian', 'Cyclist', 'Car')
    # KITTI samples one recall per object at most: 41 repetitions lift the ceiling that a few objects have.
    metric = KittiMonoMetric(ann_file, repeat=41, image_scale=SETTINGS['image_scale'])
    metric.dataset_meta = {'classes': classes}
    frames = load_frames(ann_file)
    metric.process(None, [as_prediction(name, frame.annos, classes) for name, frame in frames.items()])
    scores = metric.compute_metrics(metric.results)
    truth = [full_size(frame.annos, SETTINGS['image_scale']) for frame in frames.values()]
    checked = 0
    for name in classes:
        levels = [
            level
            for annos in truth
            for level in kitti_difficulty(annos['bbox'], annos['truncated'], annos['occluded'])[annos['name'] == name]
        ]
        for hardest, difficulty in enumerate(('easy', 'moderate', 'hard')):
            if any(0 <= level <= hardest for level in levels):
                checked += 1
                for measure in ('2D', 'AOS', 'BEV', '3D'):
                    assert scores[f'{name}_{measure}_AP40_{difficulty}_strict'] == pytest.approx(100), (name, measure)
    # At least the cars are there at every difficulty.
    assert checked >= 3
    assert scores['Car_3D_AP40_easy_strict'] == pytest.approx(100)


def as_prediction(name, annos, classes):
    from mmdet3d.structures import CameraInstance3DBoxes

    kept = np.isin(annos['name'], classes)
    boxes = np.column_stack([annos['location'], annos['dimensions'], annos['rotation_y']])[kept]
    instances = dict(
        bboxes_3d=CameraInstance3DBoxes(torch.from_numpy(boxes)),
        scores_3d=torch.ones(int(kept.sum())),
        labels_3d=torch.tensor([classes.index(one) for one in annos['name'][kept]], dtype=torch.int64),
        bboxes_2d=torch.from_numpy(annos['bbox'][kept]),
        alpha=torch.from_numpy(annos['alpha'][kept]),
    )
    return dict(sample_id=name, pred_instances_3d=instances)


def test_files_do_not_depend_on_the_number_of_workers(root, tmp_path):
    write(tmp_path, workers=1)
    assert contents(tmp_path) == contents(root)


def test_another_seed_shares_no_scene(root, tmp_path):
    write(tmp_path, seed=12, frames=4)
    for part, suffix in PARTS.items():
        ours, theirs = (
            {hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / 'training' / part).glob(f'*{suffix}')}
            for folder in (root, tmp_path)
        )
        assert ours
        assert theirs
        assert not ours & theirs, part
    ours, theirs = (_sizes(folder) for folder in (root, tmp_path))
    assert len(ours) > 20
    assert len(theirs) > 10
    assert not ours & theirs


def _sizes(folder):
    labels = [read_label(path) for path in sorted((folder / 'training/label_2').iterdir())]
    return {tuple(row) for one in labels for row in one.dimensions[one.name != 'DontCare']}


def test_sequences_of_a_seed_share_no_scene(root):
    first, second = (
        {tuple(row) for name in names for row in _real_sizes(root, name)} for names in (NAMES[:3], NAMES[3:])
    )
    assert first
    assert second
    assert not first & second


def _real_sizes(root, name):
    labels = read_label(root / f'training/label_2/{name}.txt')
    return labels.dimensions[labels.name != 'DontCare']


def test_folder_that_is_not_empty_is_refused_and_other_options_are_not_resumed(root):
    before = contents(root)
    with pytest.raises(ConfigError, match='is not empty; give another folder, or --resume'):
        write(root)
    with pytest.raises(ConfigError, match=r'was begun with image_scale 0\.25 \(now 0\.5\)'):
        write(root, resume=True, image_scale=0.5)
    assert contents(root) == before


def test_no_workers_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match='workers must be at least 1, got 0'):
        write(tmp_path / 'out', workers=0)
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('part', PARTS)
def test_frame_that_lacks_a_file_is_written_again(root, tmp_path, part):
    copy = Path(shutil.copytree(root, tmp_path / 'copy'))
    lost = copy / f'training/{part}/000002{PARTS[part]}'
    lost.unlink()
    (copy / 'training/velodyne/.000004.abc.tmp.bin').write_bytes(b'half')
    report = write(copy, resume=True)
    assert (report['written'], report['kept']) == (1, 5)
    assert contents(copy) == contents(root)


def test_complete_folder_is_kept(root):
    before = contents(root)
    report = write(root, resume=True)
    assert (report['written'], report['kept']) == (0, 6)
    assert contents(root) == before


def test_interrupted_run_is_continued_with_the_same_bytes(root, tmp_path):
    def interrupt(numbers, total):
        assert total == 6
        for number in numbers:
            yield number
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, progress=interrupt)
    assert not (tmp_path / 'ImageSets').exists()
    report = write(tmp_path, resume=True)
    assert report['kept'] >= 1
    assert report['kept'] + report['written'] == 6
    assert contents(tmp_path) == contents(root)


def test_full_disk_stops_with_the_file_s_name_and_leaves_whole_files(root, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(root, tmp_path / 'copy'))
    for part, suffix in PARTS.items():
        (copy / f'training/{part}/000005{suffix}').unlink()
    original = Path.write_bytes

    def write_bytes(path, content):
        if path.suffix == '.bin':
            original(path, content[:1000])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return original(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, 'write_bytes', write_bytes)
        with pytest.raises(
            DataError, match=r'cannot write .*velodyne/000005\.bin: No space left.*MB are free.*--resume'
        ):
            write(copy, resume=True)
    left = {name.split('/')[1] for name in contents(copy) if '000005' in name}
    assert left == {'image_2'}
    assert write(copy, resume=True)['written'] == 1
    assert contents(copy) == contents(root)


@pytest.mark.skipif(os.name != 'posix', reason='SIGKILL')
def test_killed_run_is_resumed_with_the_same_bytes(root, tmp_path):
    out = tmp_path / 'out'
    script = (
        'from mono_distill.synthetic.kitti.options import KittiOptions\n'
        'from mono_distill.synthetic.kitti.writer import write_kitti\n'
        f'write_kitti(KittiOptions({str(out)!r}, **{SETTINGS!r}), workers=1)\n'
    )
    run = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob('training/label_2/[0-9]*.txt')):
        assert run.poll() is None, 'the run ended before it was killed'
        assert time.monotonic() < deadline, 'the run wrote nothing'
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert not (out / 'ImageSets').exists()
    report = write(out, resume=True)
    assert report['kept'] >= 1
    assert contents(out) == contents(root)


def test_labels_calibration_and_scans_read_back(root):
    for name in NAMES:
        labels = read_label(root / f'training/label_2/{name}.txt')
        calib = read_calib(root / f'training/calib/{name}.txt')
        real = labels.name != 'DontCare'
        assert real.any()
        assert (labels.occluded[real] >= 0).all()
        assert ((labels.truncated[real] >= 0) & (labels.truncated[real] <= 1)).all()
        assert (np.abs(labels.alpha[real]) <= np.pi).all()
        expected = labels.rotation_y - np.arctan2(labels.location[:, 0], labels.location[:, 2])
        assert np.cos(labels.alpha[real] - expected[real]) == pytest.approx(1, abs=1e-6)
        assert (labels.bbox[:, :2] >= 0).all()
        assert (labels.bbox[:, 2:] <= [309, 93]).all()
        assert calib.P2[0, 0] == pytest.approx(180, rel=0.03)
        # Where the label says the object is, it is in the picture: the middle projects into its 2D box.
        middle = labels.location - np.array([0, 0.5, 0]) * labels.dimensions[:, :1]
        whole = real & (labels.truncated == 0)
        pixels = np.column_stack([middle, np.ones(len(middle))])[whole] @ calib.P2[:3].T
        pixels = pixels[:, :2] / pixels[:, 2:]
        assert (pixels >= labels.bbox[whole, :2] - 0.5).all()
        assert (pixels <= labels.bbox[whole, 2:] + 0.5).all()
