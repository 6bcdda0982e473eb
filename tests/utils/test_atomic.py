import pytest

from mono_distill.utils.atomic import atomic_path


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / 'a.txt'
    target.write_text('old')

    def write():
        with atomic_path(target) as temporary:
            temporary.write_text('half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [path.name for path in tmp_path.iterdir()] == ['a.txt']
    assert target.read_text() == 'old'


def test_the_temporary_name_keeps_the_suffix(tmp_path):
    with atomic_path(tmp_path / 'new' / 'a.png') as temporary:
        assert temporary.suffix == '.png'
        temporary.write_bytes(b'x')
    assert (tmp_path / 'new' / 'a.png').read_bytes() == b'x'
