"""What the tests on a GPU share."""

import contextlib

import pytest
import torch
from torch import Tensor

needs_gpu = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA GPU'),
]


@contextlib.contextmanager
def without_waiting():
    """Fail where the host waits for the GPU."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


def to_gpu(x):
    """A copy of a tensor on the GPU that is a leaf of its own, as the original is."""
    return x.detach().clone().to('cuda').requires_grad_(x.requires_grad)


def leaves_of(value):
    """Every tensor in nested containers, named tuples included."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in leaves_of(part)]
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in leaves_of(part)]
    return []


def moved(value):
    """Nested containers with every tensor on the GPU."""
    if isinstance(value, Tensor):
        return to_gpu(value)
    if isinstance(value, dict):
        return {key: moved(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(moved(part) for part in value)
    return value
