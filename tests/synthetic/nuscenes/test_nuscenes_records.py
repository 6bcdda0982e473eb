from __future__ import annotations

import json

import pytest

from mono_distill.synthetic.nuscenes.layout import Job, map_file
from mono_distill.synthetic.nuscenes.records import finished_record
from mono_distill.utils.errors import DataError


def write_keyframe(options, job: Job) -> dict:
    record = {'data': [{'filename': 'samples/a.jpg'}, {'filename': 'samples/b.bin'}], 'annotations': []}
    for name in ('samples/a.jpg', 'samples/b.bin', map_file(options.seed, job.scene)):
        path = options.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'content')
    path = options.out / job.record
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))
    return record


def test_a_key_frame_with_all_its_files_is_finished(options):
    job = Job(0, 'scene-0061', 0)
    assert finished_record(job, options) is None
    record = write_keyframe(options, job)
    assert finished_record(job, options) == record


@pytest.mark.parametrize('lost', ['samples/a.jpg', 'samples/b.bin', 'keyframes/scene-0061_0000.json', 'map'])
def test_a_key_frame_that_lacks_a_file_is_not(options, lost):
    job = Job(0, 'scene-0061', 0)
    write_keyframe(options, job)
    (options.out / (map_file(options.seed, 0) if lost == 'map' else lost)).unlink()
    assert finished_record(job, options) is None


def test_a_broken_record_is_named(options):
    job = Job(0, 'scene-0061', 1)
    write_keyframe(options, job)
    (options.out / job.record).write_text('{"data": [')
    with pytest.raises(DataError, match='scene-0061_0001'):
        finished_record(job, options)
