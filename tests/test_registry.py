import mmengine.model  # noqa: F401  (registers BaseDataPreprocessor)
import pytest
from mmengine.registry import Registry

from mono_distill.registry import MODELS, LazyRegistry


def test_a_lookup_imports_no_more_than_it_needs(tmp_path, monkeypatch):
    (tmp_path / 'light_part.py').write_text('')
    (tmp_path / 'heavy_part.py').write_text('raise RuntimeError')
    monkeypatch.syspath_prepend(tmp_path)
    registry = LazyRegistry('lazy', Registry('lazy_root', scope='lazy_root'), ['light_part', 'heavy_part'])
    registry.register_module('Known', module=dict)
    assert registry.get('Known') is dict


def test_a_failing_import_is_raised_every_time(tmp_path, monkeypatch):
    (tmp_path / 'broken_part.py').write_text('import a_package_that_does_not_exist')
    monkeypatch.syspath_prepend(tmp_path)
    registry = LazyRegistry('failing', Registry('failing_root', scope='failing_root'), ['broken_part'])
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match='a_package_that_does_not_exist'):
            registry.get('Anything')


def test_a_name_of_another_scope_imports_nothing_of_ours():
    assert MODELS.get('mmengine.BaseDataPreprocessor').__name__ == 'BaseDataPreprocessor'
