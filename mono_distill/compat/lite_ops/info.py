"""What mmcv reports about how its ops were compiled."""

from __future__ import annotations


def get_compiler_version() -> str:
    """Return the compiler of the ops; mmcv prints it in its environment report."""
    return 'not compiled (mmcv-lite)'


def get_compiling_cuda_version() -> str:
    """Return what compiled mmcv without CUDA returns."""
    return 'not available'
