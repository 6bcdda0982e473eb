import pytest

from mono_distill.distillers.build import build_part, check_options, config_roots, resolve_config
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError


class Open:
    def __init__(self, **options):
        pass


def test_a_class_that_takes_anything_is_not_checked():
    check_options(Open, dict(whatever=1), 'model')


def test_a_part_of_mmengine_builds_through_our_registry():
    assert build_part(MODELS, dict(type='mmengine.BaseDataPreprocessor'), 'model').__class__.__name__


def test_a_config_that_is_missing_names_the_folder_it_was_looked_for_in():
    with pytest.raises(ConfigError, match=r"config 'nowhere.py' does not exist \(current folder: "):
        resolve_config('nowhere.py')
    with pytest.raises(ConfigError, match='looked in: '):
        resolve_config('mono_distill::nowhere.py')
    with pytest.raises(ConfigError, match='package no_such_package is not installed'):
        resolve_config('no_such_package::x.py')


def test_the_packages_own_configs_are_found():
    assert any(root.name == 'configs' for root in config_roots('mono_distill'))
