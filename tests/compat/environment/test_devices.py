"""Python, cores and GPUs, on machines that are made up."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace

import pytest

from mono_distill.compat.environment import devices
from mono_distill.compat.environment.devices import check_cores, check_python, check_torch, describe_devices


def fake_torch(cuda, *, gpus=(), built=('sm_80', 'sm_90')):
    """A torch built for a version of CUDA, on a machine with GPUs of these capabilities."""
    return SimpleNamespace(
        version=SimpleNamespace(cuda=cuda),
        cuda=SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus),
            get_device_name=lambda index: f'Card {index}',
            get_device_capability=lambda index: gpus[index],
            get_arch_list=lambda: list(built),
        ),
    )


@pytest.mark.parametrize(
    ('version', 'state'), [((3, 9), 'broken'), ((3, 10), 'warn'), ((3, 11), 'ok'), ((3, 12), 'ok'), ((3, 13), 'warn')]
)
def test_versions_of_python(monkeypatch, version, state):
    monkeypatch.setattr(sys, 'version_info', (*version, 0, 'final', 0))
    assert [check.state for check in check_python()] == [state]


def test_cores_that_may_be_used(monkeypatch):
    monkeypatch.setattr(devices.os, 'sched_getaffinity', lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(devices.os, 'cpu_count', lambda: 8)
    assert check_cores()[0].value == '3 of 8'


def test_cores_where_the_system_does_not_limit_them(monkeypatch):
    monkeypatch.delattr(devices.os, 'sched_getaffinity', raising=False)
    monkeypatch.setattr(devices.os, 'cpu_count', lambda: 8)
    assert check_cores()[0].value == '8 of 8'


def test_torch_of_this_machine_is_described():
    assert all(check.state in ('ok', 'warn', 'broken') for check in check_torch())


def test_torch_that_cannot_be_imported(monkeypatch):
    real_import = builtins.__import__

    def failing(name, *rest, **options):
        if name == 'torch':
            raise OSError('libcudart.so.13: cannot open shared object file')
        return real_import(name, *rest, **options)

    monkeypatch.setattr(builtins, '__import__', failing)
    (check,) = check_torch()
    assert check.state == 'broken'
    assert 'libcudart' in check.value


def test_cpu_build_without_a_gpu_is_fine():
    (check,) = describe_devices(fake_torch(None), driver_installed=False)
    assert check.state == 'ok'


def test_cpu_build_beside_a_gpu_is_a_waste():
    (check,) = describe_devices(fake_torch(None), driver_installed=True)
    assert check.state == 'warn'
    assert 'built for CUDA' in check.cure


def test_cuda_build_without_a_driver():
    (check,) = describe_devices(fake_torch('13.0'), driver_installed=False)
    assert check.state == 'warn'
    assert 'finds no usable GPU' in check.value
    assert 'NVIDIA driver for CUDA 13.0' in check.cure


def test_each_gpu_is_listed_with_its_capability():
    first, second = describe_devices(fake_torch('13.0', gpus=[(9, 0), (8, 6)]), driver_installed=True)
    assert first.value == 'Card 0, capability 9.0, CUDA 13.0'
    assert (first.name, second.name) == ('GPU 0', 'GPU 1')
    assert first.state == second.state == 'ok'


@pytest.mark.parametrize(
    ('capability', 'built', 'state'),
    [
        ((7, 5), ['sm_80', 'sm_90'], 'broken'),  # too old
        ((10, 0), ['sm_80', 'sm_90'], 'broken'),  # too new, nothing to compile from
        ((10, 0), ['sm_90', 'compute_90'], 'ok'),  # too new, but PTX is there
        ((8, 9), ['sm_80', 'sm_86'], 'ok'),  # same major version
        ((8, 0), ['sm_86'], 'broken'),  # code for a later minor version
        ((12, 0), ['sm_90', 'sm_120'], 'ok'),
        ((9, 0), ['sm_90a'], 'ok'),
        ((9, 0), [], 'ok'),  # torch does not tell
    ],
)
def test_gpu_for_which_torch_was_not_built(capability, built, state):
    (check,) = describe_devices(fake_torch('13.0', gpus=[capability], built=built), driver_installed=True)
    assert check.state == state
    assert (state == 'broken') == (f'sm_{capability[0]}{capability[1]}' in check.cure)
