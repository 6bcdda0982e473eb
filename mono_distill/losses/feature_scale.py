"""Bring feature maps of different networks to one scale before they are compared."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from mono_distill.utils.errors import ConfigError

Scale = Literal['minmax', 'mean', 'standard']
Statistics = Literal['image', 'batch']

# A map that varies by no more than this many rounding errors of its largest number is constant.
_ROUNDING_ERRORS = 8


def rescale_features(features: Tensor, scale: Scale | None, statistics: Statistics = 'image') -> Tensor:
    r"""Rescale the numbers of a map by statistics of the map itself; differentiable through these too.

    ========== ============================================= =================================================
    ``scale``  result                                        a constant map becomes
    ========== ============================================= =================================================
    minmax     :math:`(x - \min) / (\max - \min)`            0
    mean       :math:`x / \operatorname{mean}`               1, or 0 if it is 0; meant for maps without negatives
    standard   :math:`(x - \operatorname{mean}) /            0, without gradient
               \operatorname{deviation}`
    ========== ============================================= =================================================

    No scale depends on the unit of the features: there is no absolute floor under a divisor. For ``standard`` a map is
    constant if it varies by no more than the rounding error of its numbers.

    Args:
        features: ``(B, C, H, W)`` in full precision.
        scale: See the table; ``None`` returns the map as it is.
        statistics: One set per ``'image'``, or one over the whole ``'batch'`` of this process, with which the result of
            an image depends on the others.

    Returns:
        The same shape.

    Example:
        >>> rescale_features(torch.tensor([1.0, 2.0, 5.0]).view(1, 1, 1, 3), 'minmax').flatten()
        tensor([0.0000, 0.2500, 1.0000])
    """
    if scale is None:
        return features
    dims = (1, 2, 3) if statistics == 'image' else (0, 1, 2, 3)
    if scale == 'minmax':
        low, high = features.amin(dims, keepdim=True), features.amax(dims, keepdim=True)
        # Not clamped to a small number: features of any unit keep their full range.
        return (features - low) / torch.where(high > low, high - low, 1.0)
    mean = features.mean(dims, keepdim=True)
    if scale == 'mean':
        return features / torch.where(mean == 0, 1.0, mean)
    return _standardised(features - mean, _is_constant(features, dims), dims)


def _is_constant(features: Tensor, dims: tuple[int, ...]) -> Tensor:
    low, high = features.detach().amin(dims, keepdim=True), features.detach().amax(dims, keepdim=True)
    largest = torch.maximum(high.abs(), low.abs())
    # A NaN is not constant: it must be seen.
    return high - low <= _ROUNDING_ERRORS * torch.finfo(features.dtype).eps * largest


def _standardised(centred: Tensor, constant: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Divide what has mean zero by its deviation; zeros, without gradient, where it is ``constant``."""
    # Squares of very small or large numbers leave the range of the dtype, so these are brought to order one first. The
    # result does not depend on that factor, nor then does the gradient.
    size = centred.detach().abs().amax(dims, keepdim=True)
    centred = torch.where(constant, 0.0, centred / torch.where(constant, 1.0, size))
    variance = centred.square().mean(dims, keepdim=True)
    return centred * torch.where(constant, 1.0, variance).rsqrt()


def check_scale(scale: str | None, statistics: str, *, owner: str) -> None:
    """Raise ConfigError unless both are options of :func:`rescale_features`."""
    if scale is not None and scale not in get_args(Scale):
        raise ConfigError(f"{owner}: normalize must be None, {', '.join(get_args(Scale))}, got '{scale}'.")
    if statistics not in get_args(Statistics):
        raise ConfigError(f"{owner}: statistics must be 'image' or 'batch', got '{statistics}'.")
