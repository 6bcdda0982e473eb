import pytest

from mono_distill.utils.errors import ConfigError, MonoDistillError, ShapeError, did_you_mean


@pytest.mark.parametrize('error', [ConfigError, ShapeError])
def test_errors_are_value_errors_and_ours(error):
    assert issubclass(error, ValueError)
    assert issubclass(error, MonoDistillError)


def test_far_names_get_only_the_list():
    assert did_you_mean('zzz', ['b', 'a']) == 'Known: a, b.'
    assert did_you_mean('zzz', []) == 'Nothing is defined.'
