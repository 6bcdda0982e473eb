"""Known depth in place of, or mixed into, a predicted depth distribution."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mono_distill.models.view_transformers.bounds import DepthBins
from mono_distill.utils.errors import ConfigError, ShapeError

DepthMode = Literal['pred', 'gt_onehot', 'mix']
DEPTH_MODES = ('pred', 'gt_onehot', 'mix')


def known_depth(gt_depth: Tensor, bins: DepthBins) -> Tensor:
    """Turn LiDAR depth into a distribution that is certain.

    Args:
        gt_depth: ``(B, N, h, w)`` metres, 0 where there is none.
        bins: The depth bins.

    Returns:
        ``(B, N, D, h, w)`` float32, one in the bin of the depth; all zeros in cells without depth in the range.

    Example:
        >>> known_depth(torch.tensor([[[[0.0, 3.5]]]]), DepthBins((2.0, 4.0), 2))[0, 0, :, 0]
        tensor([[0., 0.],
                [0., 1.]])
    """
    classes = bins.classes(gt_depth).unsqueeze(2)
    shape = (*classes.shape[:2], bins.bins + 1, *classes.shape[3:])
    return torch.zeros(shape, device=gt_depth.device).scatter_(2, classes, 1.0)[:, :, : bins.bins]


def override_depth(depth: Tensor, override: Tensor | None, mode: DepthMode) -> Tensor:
    r"""Put known depth into a predicted distribution (the teaching assistant of MonoTAKD sees LiDAR depth).

    With ``'gt_onehot'`` the override takes the place of the prediction in the cells where it has any weight, with
    ``'mix'`` both count half there. Cells in which the override is zero keep their prediction.

    Args:
        depth: ``(B, N, D, h, w)`` predicted, a softmax over D.
        override: The same shape, for example from :func:`known_depth`; receives no gradient.
        mode: ``'pred'`` (the override is ignored), ``'gt_onehot'`` or ``'mix'``.

    Returns:
        ``(B, N, D, h, w)``.

    Raises:
        ConfigError: The mode is unknown, or it needs an override and there is none.
        ShapeError: The override has other bins, cameras or cells.

    Example:
        >>> depth = torch.full((1, 1, 2, 1, 2), 0.5)
        >>> known = torch.tensor([[0.0, 1.0], [0.0, 0.0]]).view(1, 1, 2, 1, 2)
        >>> override_depth(depth, known, 'mix')[0, 0, :, 0]
        tensor([[0.5000, 0.7500],
                [0.5000, 0.2500]])
    """
    if mode not in DEPTH_MODES:
        raise ConfigError(f'depth_mode must be one of {", ".join(DEPTH_MODES)}, got {mode!r}.')
    if mode == 'pred':
        return depth
    if override is None:
        raise ConfigError(
            f"depth_mode='{mode}' needs depth_override; it is made from the inputs' gt_depth, which the transform "
            'mono_distill.LidarDepthTargets writes.'
        )
    if override.shape != depth.shape:
        raise ShapeError(
            f'depth_override has shape {tuple(override.shape)}, expected {tuple(depth.shape)} (B, N, D, h, w): the '
            'same depth bins and cells as the view transformer.'
        )
    override = override.detach().to(depth.dtype)
    known = override.sum(2, keepdim=True) > 0
    return torch.where(known, override if mode == 'gt_onehot' else (depth + override) / 2, depth)
