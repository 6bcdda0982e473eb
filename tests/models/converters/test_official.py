import dataclasses

import pytest

from mono_distill.cli.convert import SOURCES
from mono_distill.models.converters import convert_monodle_keys
from mono_distill.models.converters.official import DIDM3D, MONODETR, MONODLE, OFFICIAL_SOURCES, official_source
from mono_distill.utils.errors import CheckpointError, ConfigError


def test_the_command_offers_what_the_table_has():
    assert tuple(OFFICIAL_SOURCES) == SOURCES


def test_a_converter_is_found_by_name():
    assert MONODLE.load_converter() is convert_monodle_keys


@pytest.mark.parametrize('converter', ['no_such_keys:convert_x', 'monodle_keys:convert_x'])
def test_a_converter_that_is_not_there_is_named(converter):
    with pytest.raises(ConfigError, match=f'cannot convert MonoDLE checkpoints .no {converter}'):
        dataclasses.replace(MONODLE, converter=converter).load_converter()


@pytest.mark.parametrize('model', [MONODLE, DIDM3D, MONODETR], ids=lambda model: model.kind)
def test_every_model_has_its_converter(model):
    assert callable(model.load_converter())


@pytest.mark.parametrize(
    ('name', 'hint'),
    [('monodle', 'comes with --from monodistill or monostl'), ('didm3d', '--from monoskd'), ('monodetr', 'student')],
)
def test_repositories_without_teachers_say_so(name, hint):
    with pytest.raises(CheckpointError, match=f'trains cameras only: use --part student.*{hint}|{hint}'):
        official_source(name, 'teacher')


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match="no official repository 'monodl'; did you mean 'monodle'"):
        official_source('monodl', 'student')
    with pytest.raises(ConfigError, match="no part 'pupil'"):
        official_source('monodle', 'pupil')
