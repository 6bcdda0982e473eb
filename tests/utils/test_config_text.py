import pytest
from mmengine.config import Config

from mono_distill.utils.config_text import parse_config_text
from mono_distill.utils.errors import ConfigError


def test_what_mmengine_writes_is_read_back():
    content = dict(
        model=dict(type='A', scale=-1.5, sizes=(1, 2), names=['a', "b'c"], nothing=None, on=True, empty={}),
        odd={'a b': 1, '0': [dict(x=1)]},
        number=1e-05,
    )
    assert parse_config_text(Config(content).pretty_text) == content


@pytest.mark.parametrize(
    ('text', 'shown'),
    [
        ('import os', 'line 1 .*import os'),
        ("x = 1\ny = open('f')", r"line 2 .*open\('f'\)"),
        ('x = dict([(1, 2)])', r'dict\('),
        ('x = dict(**y)', 'no plain value: y'),
        ('x = {**y}', r'\{\*\*y\}'),
        ('x = [y.z]', 'y.z'),
        ('x.y = 1', 'x.y = 1'),
        ('x = y = 1', 'x = y = 1'),
        ('x = [i for i in y]', 'for i in y'),
        ('x = (', 'cannot be parsed'),
    ],
)
def test_a_program_is_refused(text, shown):
    with pytest.raises(ConfigError, match=shown):
        parse_config_text(text)
