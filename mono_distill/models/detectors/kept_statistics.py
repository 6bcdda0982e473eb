"""Batch norms that normalise by their batch but do not remember it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def kept_statistics(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Keep the running statistics of all batch norms in ``modules`` as they are while the block runs.

    In training they still normalise by the batch; in evaluation nothing changes.

    Args:
        modules: Modules to search, their children included.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(1)
        >>> with kept_statistics([norm]):
        ...     out = norm(torch.tensor([[1.0], [3.0]]))
        >>> norm.running_mean
        tensor([0.])
    """
    norms = [layer for module in modules for layer in module.modules() if isinstance(layer, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
