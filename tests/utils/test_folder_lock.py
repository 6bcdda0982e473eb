from __future__ import annotations

import pytest

from mono_distill.utils.errors import ConfigError
from mono_distill.utils.folder_lock import locked_folder


def test_a_second_claim_is_refused_with_what_to_do(tmp_path):
    message = 'another study is at work in .*name another folder with --work'
    second = locked_folder(tmp_path, 'study', '--work')
    with locked_folder(tmp_path, 'study', '--work'), pytest.raises(ConfigError, match=message), second:
        pass


def test_the_claim_ends_with_the_block_even_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match='stopped'), locked_folder(tmp_path, 'study', '--work'):
        raise RuntimeError('stopped')
    with locked_folder(tmp_path, 'study', '--work') as handle:
        assert handle > 0


def test_the_folder_is_made(tmp_path):
    with locked_folder(tmp_path / 'new' / 'one', 'study', '--work'):
        assert (tmp_path / 'new' / 'one').is_dir()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    claim = locked_folder(tmp_path / 'file' / 'inner', 'study', '--work')
    with pytest.raises(ConfigError, match='--work .*file/inner cannot be written'), claim:
        pass
