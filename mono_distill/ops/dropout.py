"""Dropout with a fast source of random numbers on the CPU."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mono_distill.ops._compiled import on_host

_STEPS = 2**16


def dropout(x: Tensor, p: float) -> Tensor:
    """Set a share ``p`` of the entries to zero and divide the others by ``1 - p``.

    On the CPU the mask comes from a kernel compiled by numba (SplitMix64, seeded by torch's generator): about three
    times as fast as ``torch.nn.functional.dropout``, which is used elsewhere, and nothing is kept for the backward
    pass. There ``p`` is rounded to a multiple of 2^-16.

    Args:
        x: Any shape.
        p: Probability in [0, 1).

    Example:
        >>> dropout(torch.ones(10000), 0.1).unique()
        tensor([0.0000, 1.1111])
    """
    if p == 0:
        return x
    if x.dtype not in (torch.float32, torch.float64) or not on_host(x) or _kernel() is None:
        return functional.dropout(x, p)
    seed = int(torch.randint(2**62, ()).item())
    dropped: Tensor = _CompiledDropout.apply(x, seed, round(p * _STEPS))
    return dropped


class _CompiledDropout(torch.autograd.Function):
    """Dropout whose mask is drawn anew in the backward pass, from the same seed, instead of being kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, seed: int, threshold: int) -> Tensor:
        ctx.seed, ctx.threshold = seed, threshold
        return _drop(x, seed, threshold)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _CompiledDropout.apply(gradient, ctx.seed, ctx.threshold), None, None


def _drop(x: Tensor, seed: int, threshold: int) -> Tensor:
    x = x.detach().contiguous()
    result = torch.empty_like(x)
    scale = 1 / (1 - threshold / _STEPS)
    arrays = (x.view(-1).numpy(), result.view(-1).numpy())
    _kernel().drop_entries(*arrays, np.uint64(seed), np.uint64(threshold), scale)
    return result


class Dropout(nn.Dropout):
    """Module form of :func:`dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """Drop entries in training."""
        return dropout(input, self.p) if self.training else input


def use_fast_dropout(module: nn.Module) -> None:
    """Replace every ``torch.nn.Dropout`` inside a module by :class:`Dropout`.

    Example:
        >>> layers = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
        >>> use_fast_dropout(layers)
        >>> type(layers[1]).__module__
        'mono_distill.ops.dropout'
    """
    for parent in module.modules():
        for name, child in list(parent.named_children()):
            if type(child) is nn.Dropout:
                setattr(parent, name, Dropout(child.p))


@functools.cache
def _kernel() -> Any:
    """Return the module of the compiled kernel, or ``None`` where numba cannot be imported."""
    try:
        return importlib.import_module('mono_distill.ops._dropout_kernel')
    except (ImportError, OSError):
        return None
