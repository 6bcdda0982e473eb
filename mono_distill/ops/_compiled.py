"""Access to compiled kernels on machines that may lack a compiler."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import torch
from torch import Tensor


@functools.cache
def rank_kernels() -> Any:
    """Return the module of compiled kernels of soft and average ranks, or ``None`` where numba cannot be imported.

    They are imported on first use: numba takes about half a second, and compiling them some seconds, once per machine.
    """
    return _import_kernels('_rank_kernel')


@functools.cache
def rank_slope_kernels() -> Any:
    """Return the module of compiled derivatives of soft ranks, or ``None``, as :func:`rank_kernels`."""
    return _import_kernels('_rank_slope_kernel')


@functools.cache
def box_kernels() -> Any:
    """Return the module of compiled kernels that paint boxes, or ``None``, as :func:`rank_kernels`."""
    return _import_kernels('_box_kernel')


@functools.cache
def roi_kernels() -> Any:
    """Return the module of compiled kernels of RoIAlign, or ``None``, as :func:`rank_kernels`."""
    return _import_kernels('_roi_align_kernel')


def _import_kernels(name: str) -> Any:
    try:
        return importlib.import_module(f'mono_distill.ops.{name}')
    except (ImportError, OSError):
        return None


def can_compile_ranks(values: Tensor) -> bool:
    """Whether the ranks of the rows ``values`` (R, n) are computed by :func:`rank_kernels`.

    So it is on the CPU, unless ``torch.compile`` traces the call, which cannot look into the kernels, or the entries
    are too many for their 32-bit counters.
    """
    if values.device.type != 'cpu' or torch.compiler.is_compiling() or values.numel() >= 2**31:
        return False
    return rank_kernels() is not None


def on_host(*tensors: Tensor) -> bool:
    """Whether Python can read the numbers of all tensors without waiting for a device.

    So it is on the CPU, unless ``torch.compile``, ``torch.jit`` or ``torch.vmap`` and the like trace the call.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return all(tensor.device.type == 'cpu' and has_memory(tensor) for tensor in tensors)


def as_arrays(*tensors: Tensor) -> list[Any]:
    """Look at tensors as contiguous NumPy arrays; those to be written to must be contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def has_memory(tensor: Tensor) -> bool:
    """Whether a tensor can be looked at as an array; inside ``torch.vmap`` and the like it cannot."""
    try:
        tensor.detach().numpy()
    except (RuntimeError, TypeError):
        # TypeError: a dtype that NumPy lacks, such as bfloat16.
        return False
    return True
