"""Uncertainty of the depth of each object, as the losses of MonoSTL (TCSVT 2024) read it."""

from __future__ import annotations

from torch import Tensor

from mono_distill.losses.laplacian_uncertainty import PARAMS
from mono_distill.losses.masked import as_float32
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean


def object_log_scales(log_scale: Tensor, indices: Tensor, *, param: str = 'scale', owner: str) -> Tensor:
    r"""Logarithm of the scale :math:`\sigma` of the Laplace distribution of each object's depth, detached.

    Args:
        log_scale: A head's channel of uncertainty, either per object ``(B, N)`` or as a map ``(B, C, h, w)`` whose last
            channel it is (the ``depth`` output of MonoDLE-type heads holds depth and log-scale) and which is read at
            the objects' centres.
        indices: Centres ``(B, N)`` as ``y * w + x`` on that map.
        param: ``'scale'``, or ``'variance'`` for networks whose channel is twice the log-scale (GUPNet, DID-M3D); see
            :func:`mono_distill.losses.laplacian_uncertainty_loss`.
        owner: Name of the loss, for the messages.

    Returns:
        ``(B, N)`` in full precision.

    Raises:
        ShapeError: ``log_scale`` has another shape.
        ConfigError: ``param`` is unknown.

    Example:
        >>> import torch
        >>> depth = torch.stack([torch.full((2, 3), 20.0), torch.arange(6.0).view(2, 3)]).unsqueeze(0)
        >>> object_log_scales(depth, torch.tensor([[5, 0]]), owner='demo')
        tensor([[5., 0.]])
    """
    check_param(param, owner)
    values = log_scale.detach()
    if values.dim() == 4 and values.shape[0] == indices.shape[0]:
        values = values[:, -1].flatten(1).gather(1, indices)
    if values.shape != indices.shape:
        raise ShapeError(
            f'{owner}: log_scale has shape {tuple(log_scale.shape)}, expected one number per object '
            f'{tuple(indices.shape)} or a map ({indices.shape[0]}, C, h, w).'
        )
    values = as_float32(values)
    return values if param == 'scale' else values / 2


def check_param(param: str, owner: str) -> None:
    """Raise ConfigError unless ``param`` is ``'scale'`` or ``'variance'``."""
    if param not in PARAMS:
        raise ConfigError(f'{owner}: unknown param {param!r}; {did_you_mean(param, PARAMS)}')
