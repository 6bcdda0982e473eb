"""The table of lite ops: every entry exists, and is called as the compiled op is."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys

import pytest

from mono_distill.compat.lite_ops import LITE_OPS


@pytest.mark.parametrize('name', sorted(LITE_OPS))
def test_every_op_is_where_the_table_says(name):
    op = getattr(importlib.import_module(LITE_OPS[name]), name)
    assert op.__name__ == name
    assert op.__doc__


def test_reading_the_table_does_not_import_torch():
    code = "import sys, mono_distill.compat.lite_ops; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


@pytest.mark.full
@pytest.mark.parametrize('name', sorted(LITE_OPS))
def test_arguments_are_named_as_in_compiled_mmcv(name):
    import mmcv._ext as ext

    declared = re.search(r'\((.*)\) ->', getattr(ext, name).__doc__.splitlines()[0])
    compiled = [argument.split(':')[0].strip() for argument in declared[1].split(',') if ':' in argument]
    lite = inspect.signature(getattr(importlib.import_module(LITE_OPS[name]), name)).parameters
    assert list(lite) == compiled
