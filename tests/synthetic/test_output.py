from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from mono_distill.synthetic.output import open_output, with_fingerprint, write_bytes
from mono_distill.utils.errors import ConfigError, DataError

MANIFEST = with_fingerprint({'version': 1, 'options': {'seed': 3, 'frames': 20}})


def begin(folder, manifest=MANIFEST, resume=False):
    open_output(folder, 'made.json', manifest, resume=resume)


def test_new_and_empty_folders_get_their_manifest(tmp_path):
    for folder in (tmp_path, tmp_path / 'below' / 'new'):
        begin(folder)
        assert json.loads((folder / 'made.json').read_text()) == MANIFEST


def test_folder_with_anything_in_it_is_refused(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ConfigError, match='is not empty; give another folder, or --resume'):
        begin(tmp_path)
    assert not (tmp_path / 'made.json').exists()


def test_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / 'out').touch()
    with pytest.raises(ConfigError, match='is a file'):
        begin(tmp_path / 'out', resume=True)


def test_resuming_needs_the_same_options_and_names_those_that_differ(tmp_path):
    begin(tmp_path)
    begin(tmp_path, resume=True)
    with pytest.raises(ConfigError, match=r'was begun with seed 3 \(now 4\); repeat the options'):
        begin(tmp_path, with_fingerprint({'version': 1, 'options': {'seed': 4, 'frames': 20}}), resume=True)
    with pytest.raises(ConfigError, match='another version'):
        begin(tmp_path, with_fingerprint({'version': 2, 'options': {'seed': 3, 'frames': 20}}), resume=True)


def test_resuming_a_foreign_or_broken_folder_is_refused(tmp_path):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(ConfigError, match=r'holds no made\.json, so there is nothing to resume'):
        begin(tmp_path, resume=True)
    (tmp_path / 'made.json').write_text('{')
    with pytest.raises(DataError, match=r'cannot read .*made\.json'):
        begin(tmp_path, resume=True)
    (tmp_path / 'made.json').write_text('[]')
    with pytest.raises(DataError, match='does not say what was begun'):
        begin(tmp_path, resume=True)


def test_resuming_removes_what_a_killed_writer_left(tmp_path):
    begin(tmp_path)
    left = tmp_path / 'training' / '.000003.abc.tmp.png'
    left.parent.mkdir()
    left.touch()
    begin(tmp_path, resume=True)
    assert not left.exists()


def test_resuming_an_absent_folder_begins_it(tmp_path):
    begin(tmp_path / 'new', resume=True)
    assert (tmp_path / 'new' / 'made.json').is_file()


def fail(monkeypatch, number):
    def write(path: Path, content: bytes) -> None:
        with open(path, 'wb') as file:
            file.write(content[: len(content) // 2])
        raise OSError(number, 'No space left on device' if number == errno.ENOSPC else 'Input/output error')

    monkeypatch.setattr(Path, 'write_bytes', write)


def test_full_disk_is_named_with_what_is_free_and_leaves_no_half_file(tmp_path, monkeypatch):
    fail(monkeypatch, errno.ENOSPC)
    with pytest.raises(
        DataError, match=r'cannot write .*a\.bin: No space left on device \(\d+ MB are free\).*--resume'
    ):
        write_bytes(tmp_path / 'a.bin', b'12345678')
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_the_disk_are_named(tmp_path, monkeypatch):
    fail(monkeypatch, errno.EIO)
    with pytest.raises(DataError, match=r'cannot write .*a\.bin: Input/output error$'):
        write_bytes(tmp_path / 'a.bin', b'12345678')
