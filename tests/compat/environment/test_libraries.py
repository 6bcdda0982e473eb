"""Libraries that are often installed in a way that does not work."""

from __future__ import annotations

import pytest

from mono_distill.compat.environment import libraries
from mono_distill.compat.environment.libraries import (
    check_embree,
    check_numba,
    check_open3d,
    check_opencv,
    check_torchvision,
)


@pytest.fixture
def machine(monkeypatch):
    """Pretend that these distributions are installed, and that these modules fail to import."""

    def install(versions: dict[str, str], **failures: Exception):
        def import_module(name: str):
            if name in failures:
                raise failures[name]

        monkeypatch.setattr(
            libraries, 'installed_versions', lambda names: {n: versions[n] for n in names if n in versions}
        )
        monkeypatch.setattr(libraries.importlib, 'import_module', import_module)

    return install


def missing(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(f'No module named {name!r}', name=name)


def test_one_opencv_is_fine(machine):
    machine({'opencv-python-headless': '4.11'})
    (check,) = check_opencv()
    assert (check.value, check.state) == ('opencv-python-headless 4.11', 'ok')


def test_two_opencvs_overwrite_each_other(machine):
    machine({'opencv-python-headless': '4.11', 'opencv-python': '4.12'})
    (check,) = check_opencv()
    assert check.state == 'warn'
    assert check.cure.startswith('pip uninstall -y opencv-python-headless opencv-python ')
    assert "pip install 'opencv-python-headless" in check.cure


def test_opencv_without_its_system_libraries(machine):
    machine({'opencv-python': '4.12'}, cv2=ImportError('libGL.so.1: cannot open shared object file'))
    (check,) = check_opencv()
    assert check.state == 'broken'
    assert 'libGL' in check.value


def test_opencv_from_elsewhere(machine):
    machine({})
    assert check_opencv()[0].state == 'ok'


def test_numba(machine):
    machine({'numba': '0.68'})
    assert (check_numba()[0].value, check_numba()[0].state) == ('0.68', 'ok')
    machine({}, numba=missing('numba'))
    assert (check_numba()[0].value, check_numba()[0].state) == ('not installed', 'broken')


def test_only_synthetic_scenes_need_embree(machine):
    machine({'embreex': '4.4'})
    assert (check_embree()[0].value, check_embree()[0].state) == ('embreex 4.4', 'ok')
    machine({}, embreex=missing('embreex'))
    assert check_embree()[0].state == 'warn'


def test_torchvision_need_not_be_there_but_must_fit(machine):
    machine({})
    assert check_torchvision()[0].state == 'ok'
    machine({'torchvision': '0.28'})
    assert (check_torchvision()[0].value, check_torchvision()[0].state) == ('0.28', 'ok')
    machine({'torchvision': '0.28'}, torchvision=RuntimeError('operator torchvision::nms does not exist'))
    (check,) = check_torchvision()
    assert check.state == 'warn'
    assert 'built for another torch' in check.value
    assert 'pip uninstall -y torchvision' in check.cure


@pytest.mark.parametrize(('versions', 'value'), [({}, 'not installed (not needed)'), ({'open3d': '0.19'}, '0.19')])
def test_open3d_is_fine_either_way(machine, versions, value):
    machine(versions)
    assert (check_open3d()[0].value, check_open3d()[0].state) == (value, 'ok')


def test_a_module_that_misses_another_says_so(machine):
    machine({}, numba=missing('llvmlite'))
    assert check_numba()[0].value == "cannot be imported: No module named 'llvmlite'"
