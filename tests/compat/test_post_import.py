"""Functions that wait for a module to be imported."""

from __future__ import annotations

import importlib
import inspect
import sys

import pytest

from mono_distill.compat import post_import
from mono_distill.compat.post_import import when_imported


@pytest.fixture
def module_file(tmp_path, monkeypatch):
    """A module that can be imported as ``waited_for``, and a watcher that the test has for itself."""
    monkeypatch.setattr(sys, 'meta_path', [f for f in sys.meta_path if type(f).__name__ != '_ImportWatcher'])
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / 'waited_for.py'
    file.write_text('name = "original"\ndef function():\n    return name\n')
    yield file
    sys.modules.pop('waited_for', None)


@pytest.mark.usefixtures('module_file')
def test_callback_runs_when_the_module_is_imported():
    seen = []
    when_imported('waited_for', lambda module: seen.append(module.name))
    assert seen == []
    importlib.import_module('waited_for')
    assert seen == ['original']


@pytest.mark.usefixtures('module_file')
def test_callback_runs_at_once_for_an_imported_module():
    importlib.import_module('waited_for')
    seen = []
    when_imported('waited_for', lambda module: seen.append(module.name))
    assert seen == ['original']


@pytest.mark.usefixtures('module_file')
def test_importer_sees_what_the_callback_replaced():
    when_imported('waited_for', lambda module: setattr(module, 'name', 'replaced'))
    from waited_for import function, name

    assert name == function() == 'replaced'


@pytest.mark.usefixtures('module_file')
def test_each_callback_runs_once_in_order():
    seen = []

    def first(module):
        seen.append('first')

    when_imported('waited_for', first)
    when_imported('waited_for', lambda module: seen.append('second'))
    when_imported('waited_for', first)
    importlib.import_module('waited_for')
    assert seen == ['first', 'second']


@pytest.mark.usefixtures('module_file')
def test_reloading_runs_the_callback_again():
    when_imported('waited_for', lambda module: setattr(module, 'name', 'replaced'))
    module = importlib.import_module('waited_for')
    module.name = 'changed'
    assert importlib.reload(module).name == 'replaced'


def test_the_module_keeps_its_loader_and_source(module_file):
    when_imported('waited_for', lambda module: None)
    module = importlib.import_module('waited_for')
    assert type(module.__loader__).__name__ == 'SourceFileLoader'
    assert inspect.getsource(module) == module_file.read_text()


@pytest.mark.usefixtures('module_file')
def test_a_missing_module_is_still_missing():
    when_imported('no_such_module_anywhere', lambda module: None)
    with pytest.raises(ModuleNotFoundError, match='no_such_module_anywhere'):
        importlib.import_module('no_such_module_anywhere')


def test_a_module_that_fails_to_import_calls_nothing(module_file):
    module_file.write_text('raise OSError("broken")')
    seen = []
    when_imported('waited_for', seen.append)
    with pytest.raises(OSError, match='broken'):
        importlib.import_module('waited_for')
    assert seen == []


@pytest.mark.usefixtures('module_file')
def test_there_is_one_watcher_however_many_wait():
    for name in ('waited_for', 'another', 'a_third'):
        when_imported(name, lambda module: None)
    assert sum(isinstance(finder, post_import._ImportWatcher) for finder in sys.meta_path) == 1
