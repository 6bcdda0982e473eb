"""Access to compiled kernels on machines that may lack a compiler."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor


@functools.cache
def rank_kernels() -> Any:
    """Return the module of compiled kernels of soft and average ranks, or ``None`` where numba cannot be imported.

    They are imported on first use: numba takes about half a second, and compiling them some seconds, once per machine.
    """
    try:
        from mono_distill.ops import _rank_kernel
    except (ImportError, OSError):
        return None
    return _rank_kernel


def can_compile_ranks(values: Tensor) -> bool:
    """Whether the ranks of the rows ``values`` (R, n) are computed by :func:`rank_kernels`.

    So it is on the CPU, unless ``torch.compile`` traces the call, which cannot look into the kernels, or the entries
    are too many for their 32-bit counters.
    """
    if values.device.type != 'cpu' or torch.compiler.is_compiling() or values.numel() >= 2**31:
        return False
    return rank_kernels() is not None


def as_arrays(*tensors: Tensor) -> list[Any]:
    """Look at tensors as contiguous NumPy arrays; those to be written to must be contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def has_memory(tensor: Tensor) -> bool:
    """Whether a tensor can be looked at as an array; inside ``torch.vmap`` and the like it cannot."""
    try:
        tensor.detach().numpy()
    except RuntimeError:
        return False
    return True
