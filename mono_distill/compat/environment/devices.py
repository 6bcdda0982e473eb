"""Python, processor cores, and the devices that torch can compute on."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from types import ModuleType

from mono_distill.compat.environment.check import Check

LOWEST_PYTHON = (3, 10)
TESTED_PYTHONS = ((3, 11), (3, 12))

_DRIVER = Path('/proc/driver/nvidia/version')


def check_python() -> list[Check]:
    """Compare the version of Python with the ones that the tests run in."""
    current = sys.version_info[:2]
    if current < LOWEST_PYTHON:
        return [Check('Python', f'{platform.python_version()}, needs >=3.10', 'broken', 'install Python 3.11 or 3.12')]
    if current not in TESTED_PYTHONS:
        value = f'{platform.python_version()}, not among the tested 3.11 and 3.12'
        return [Check('Python', value, 'warn', 'if something fails, install Python 3.11 or 3.12')]
    return [Check('Python', platform.python_version())]


def check_cores() -> list[Check]:
    """Count the cores this process may use, which can be fewer than the machine has."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return [Check('cores', f'{allowed} of {os.cpu_count()}')]


def check_torch() -> list[Check]:
    """Import torch and list the GPUs it can use."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return [Check('devices', f'torch cannot be imported: {error}', 'broken', "pip install 'torch>=2.1'")]
    return describe_devices(torch, driver_installed=_DRIVER.exists())


def describe_devices(torch: ModuleType, *, driver_installed: bool) -> list[Check]:
    """Describe what a torch can compute on.

    Args:
        torch: The module, or something like it.
        driver_installed: Whether an NVIDIA driver is loaded.
    """
    built_for = torch.version.cuda
    if built_for is None:
        if driver_installed:
            cure = 'install a torch that is built for CUDA (pytorch.org, "Start locally")'
            return [Check('devices', 'CPU; there is an NVIDIA GPU, but torch is built for the CPU', 'warn', cure)]
        return [Check('devices', 'CPU (torch is built for the CPU)')]
    if not torch.cuda.is_available():
        cure = f"install an NVIDIA driver for CUDA {built_for}, or torch's CPU build if there is no GPU"
        return [Check('devices', f'CPU; torch is built for CUDA {built_for}, but finds no usable GPU', 'warn', cure)]
    return [_describe_gpu(torch, index) for index in range(torch.cuda.device_count())]


def _describe_gpu(torch: ModuleType, index: int) -> Check:
    capability = torch.cuda.get_device_capability(index)
    label = f'GPU {index}'
    value = (
        f'{torch.cuda.get_device_name(index)}, capability {capability[0]}.{capability[1]}, CUDA {torch.version.cuda}'
    )
    if _is_supported(capability, torch.cuda.get_arch_list()):
        return Check(label, value)
    built = ' '.join(torch.cuda.get_arch_list())
    cure = f'install a torch that is built for sm_{capability[0]}{capability[1]} (this one: {built})'
    return Check(label, f'{value}, for which this torch is not built', 'broken', cure)


def _is_supported(capability: tuple[int, int], architectures: list[str]) -> bool:
    """Whether code for one of the architectures runs: same major version, or PTX to compile from."""
    for architecture in architectures:
        match = re.fullmatch(r'(sm|compute)_(\d+)(\d)[a-z]?', architecture)
        if match is None:
            continue
        built = (int(match[2]), int(match[3]))
        if built <= capability and (match[1] == 'compute' or built[0] == capability[0]):
            return True
    return not architectures
