"""Who may use a demo's folder, and its records."""

import pytest

from mono_distill.apis.demo.folder import DemoFolder, opened
from mono_distill.apis.demo.options import DemoOptions
from mono_distill.utils.errors import ConfigError


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / 'thesis.tex').touch()
    with pytest.raises(ConfigError, match='holds something else than a demo'), opened(DemoOptions(tmp_path)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'out').touch()
    with pytest.raises(ConfigError, match='is not a folder'), opened(DemoOptions(tmp_path / 'out')):
        pass


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ConfigError, match='cannot be written'), opened(DemoOptions(tmp_path / 'file' / 'out')):
        pass


def test_other_options_are_refused_by_name(tmp_path):
    with opened(DemoOptions(tmp_path, frames=100)):
        pass
    refused = pytest.raises(ConfigError, match=r'other options: frames 100 \(now 200\)\.')
    with refused, opened(DemoOptions(tmp_path, frames=200)):
        pass


def test_the_same_options_continue(tmp_path):
    with opened(DemoOptions(tmp_path, frames=100)) as (folder, _):
        folder.add('teacher', seconds=2, finished=False, command='train')
    with opened(DemoOptions(tmp_path, frames=100, workers=7)) as (folder, _):
        assert folder.entry('teacher') == {'finished': False, 'seconds': 2, 'command': 'train'}


def test_two_runs_do_not_share_a_folder(tmp_path):
    refused = pytest.raises(ConfigError, match='another demo is at work')
    with opened(DemoOptions(tmp_path)), refused, opened(DemoOptions(tmp_path)):
        pass
    with opened(DemoOptions(tmp_path)):
        pass


def test_times_of_several_runs_add_up(tmp_path):
    folder = DemoFolder(tmp_path)
    assert folder.entry('teacher') == {'finished': False, 'seconds': 0.0, 'command': None}
    folder.add('teacher', seconds=2, finished=False, command='train')
    folder.add('teacher', seconds=3, finished=True)
    assert folder.entry('teacher') == {'finished': True, 'seconds': 5, 'command': 'train'}
