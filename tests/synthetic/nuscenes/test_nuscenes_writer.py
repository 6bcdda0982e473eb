from __future__ import annotations

import errno
import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from mono_distill.synthetic.nuscenes import layout, writer
from mono_distill.synthetic.nuscenes.layout import Job, filename, map_file, timestamp
from mono_distill.synthetic.nuscenes.rig import CHANNELS, LIDAR
from mono_distill.synthetic.nuscenes.writer import write_nuscenes
from mono_distill.utils.errors import ConfigError, DataError


def digests(root: Path) -> dict[str, str]:
    """Checksums of all files but the infos, which are no part of the data set."""
    files = (path for path in sorted(root.rglob('*')) if path.is_file() and path.suffix != '.pkl')
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pretend(job: Job, options) -> dict:
    """Make a key-frame's files without a world."""
    moments = [(LIDAR, moment, False) for moment in job.sweep_times] + [(name, job.time, True) for name in CHANNELS]
    data = [
        {
            'channel': channel,
            'timestamp': timestamp(job.scene, moment),
            'filename': filename(job.scene, channel, moment, is_key_frame=key),
            'is_key_frame': key,
            'translation': [0.0, 0.0, 0.0],
            'rotation': [1.0, 0.0, 0.0, 0.0],
        }
        for channel, moment, key in moments
    ]
    record = {'scene': job.name, 'keyframe': job.keyframe, 'data': data, 'annotations': []}
    for name in (*(entry['filename'] for entry in data), map_file(options.seed, job.scene), job.record):
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))
    return record


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Let the writer pretend; returns the key-frames that it makes."""
    made: list[Job] = []

    def make(job: Job, options) -> dict:
        made.append(job)
        return pretend(job, options)

    make.__module__ = pretend.__module__
    monkeypatch.setattr(writer, 'make_keyframe', make)
    return made


def test_resuming_makes_what_is_missing_whatever_the_number_of_workers(truth, tmp_path):
    """Three key-frames by two workers, in a data set that one process made in order."""
    again = replace(truth.options, out=tmp_path / 'again')
    shutil.copytree(truth.options.out, again.out)
    image = min((again.out / 'samples/CAM_BACK').iterdir())
    image.unlink()
    for keyframe in (1, 2):
        (again.out / Job(1, 'scene-0103', keyframe).record).unlink()
    shutil.rmtree(again.out / 'v1.0-mini')
    (image.parent / '.half.123.tmp.jpg').write_bytes(b'half')
    report = write_nuscenes(again, workers=2, resume=True)
    assert report['kept_keyframes'] == 3
    assert truth.report.items() <= report.items()
    expected = digests(truth.options.out)
    assert len(expected) > 100
    assert digests(again.out) == expected


def test_the_report_counts_what_was_written(truth):
    assert truth.report['keyframes'] == 6
    assert truth.report['sweeps'] == 2 * (10 + 9 + 9)
    assert truth.report['boxes'] == sum(truth.report['boxes_by_category'].values()) == len(truth.nusc.sample_annotation)
    assert (truth.report['train_scenes'], truth.report['val_scenes']) == (['scene-0061'], ['scene-0103'])


def test_progress_is_told_the_number_of_key_frames(options, pretended):
    seen = []

    def progress(records: Iterable[dict], total: int) -> Iterable[dict]:
        seen.append(total)
        for record in records:
            seen.append(record['keyframe'])
            yield record

    write_nuscenes(options, progress=progress)
    assert seen == [4, 0, 1, 0, 1]


def test_an_interrupted_run_has_no_tables_and_is_completed(options, pretended):
    def interrupted(records: Iterable[dict], total: int) -> Iterable[dict]:
        for record in records:
            if record['scene'] == 'scene-0103':
                raise KeyboardInterrupt
            yield record

    with pytest.raises(KeyboardInterrupt):
        write_nuscenes(options, progress=interrupted)
    assert not (options.out / 'v1.0-mini').exists()
    assert len(pretended) == 3
    report = write_nuscenes(options, resume=True)
    assert report['kept_keyframes'] == 3
    assert len(pretended) == 4
    assert len(list((options.out / 'v1.0-mini').iterdir())) == 13


def test_a_folder_with_something_in_it_is_refused(options, pretended):
    options.out.mkdir()
    (options.out / 'mine.txt').write_text('keep')
    with pytest.raises(ConfigError, match='not empty'):
        write_nuscenes(options)
    with pytest.raises(ConfigError, match='nothing to resume'):
        write_nuscenes(options, resume=True)
    assert [path.name for path in options.out.iterdir()] == ['mine.txt']
    assert not pretended


def test_a_run_with_other_options_is_not_continued(options, pretended):
    write_nuscenes(options)
    with pytest.raises(ConfigError, match='seed 4'):
        write_nuscenes(replace(options, seed=5), resume=True)


def test_a_full_disk_leaves_no_key_frame_that_counts(options, monkeypatch):
    def full(path: Path, content: bytes) -> None:
        if '.tmp.jpg' in path.name:
            raise OSError(errno.ENOSPC, 'No space left on device')
        write(path, content)

    write = Path.write_bytes
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(DataError, match='No space left'):
        write_nuscenes(options)
    left = {path.suffix for path in options.out.rglob('*') if path.is_file()}
    assert left <= {'.json', '.png'}
    assert not (options.out / layout.RECORDS).exists()
    assert not (options.out / 'v1.0-mini').exists()


def test_impossible_requests_leave_no_folder(options):
    with pytest.raises(ConfigError, match='workers'):
        write_nuscenes(options, workers=0)
    with pytest.raises(ConfigError, match='scenes'):
        write_nuscenes(replace(options, scenes=851))
    assert not options.out.exists()


def test_the_manifest_says_what_was_asked_for(options, pretended):
    write_nuscenes(options)
    manifest = json.loads((options.out / layout.MANIFEST).read_text())
    assert manifest == options.manifest()
    assert str(options.out) not in (options.out / layout.MANIFEST).read_text()


def test_more_than_ten_scenes_are_a_trainval_set(options, pretended):
    from nuscenes.nuscenes import NuScenes
    from nuscenes.utils.splits import create_splits_scenes

    report = write_nuscenes(replace(options, scenes=11))
    nusc, splits = NuScenes('v1.0-trainval', str(options.out), verbose=False), create_splits_scenes()
    names = [scene['name'] for scene in nusc.scene]
    assert len(names) == 11
    assert [name for name in names if name in splits['val']] == report['val_scenes']
    assert [name for name in names if name in splits['train']] == report['train_scenes']
