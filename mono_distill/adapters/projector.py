"""Projection of the features of points into a space in which they are compared (BEVDistill, ICLR 2023)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


@MODELS.register_module()
class Projector(nn.Module):
    """A linear layer, then linear, normalisation, ReLU, linear; the same for every point.

    BEVDistill puts one on the student's and one on the teacher's features and trains both with
    :class:`mono_distill.losses.InfoNCELoss` (``moco_cl_head.py`` lines 10-81; 256 to 512 channels, batch
    normalisation). The vectors are not scaled to unit length here; the loss does that. Both projectors are dropped
    after training.

    The teacher's projector learns, the teacher does not: ``detach_input=True`` cuts the gradient between the two,
    whatever the teacher's features come from.

    The points of a padded list need ``valid``, or its empty slots enter the statistics of the batch. Slots that are not
    valid may then hold anything, NaN included: they change neither the result of others nor any gradient, and give
    zeros. Their statistics are those of one process, also where batch normalisation is synchronised over processes.

    Args:
        in_channels: Channels of the features.
        out_channels: Width of all layers and of the result.
        norm: ``'batch'`` over all points of the batch, as officially; ``'layer'`` over the channels of each point,
            which also works for a single point.
        detach_input: Whether the gradient ends at the input.

    Raises:
        ConfigError: ``norm`` is unknown.
        ShapeError: On call: the input is not ``(B, N, in_channels)``, or ``valid`` does not fit.

    Example:
        >>> import torch
        >>> Projector(8, out_channels=16)(torch.randn(2, 5, 8)).shape
        torch.Size([2, 5, 16])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 512,
        *,
        norm: Literal['batch', 'layer'] = 'batch',
        detach_input: bool = False,
    ) -> None:
        super().__init__()
        if norm not in ('batch', 'layer'):
            raise ConfigError(f"Projector: norm must be 'batch' or 'layer', got '{norm}'.")
        self.in_channels = in_channels
        self.detach_input = detach_input
        self.layers = nn.Sequential(
            nn.Linear(in_channels, out_channels),
            nn.Linear(out_channels, out_channels),
            nn.BatchNorm1d(out_channels) if norm == 'batch' else nn.LayerNorm(out_channels),
            nn.ReLU(inplace=True),
            nn.Linear(out_channels, out_channels),
        )

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """Project every point.

        Args:
            x: Features ``(B, N, in_channels)``.
            valid: ``(B, N)`` bool, the slots that hold a point; ``None`` for all.

        Returns:
            ``(B, N, out_channels)``; zeros in the slots that are not valid.
        """
        if x.dim() != 3 or x.shape[2] != self.in_channels:
            raise ShapeError(
                f'Projector: expected features of points (B, N, {self.in_channels}), got {tuple(x.shape)}; set '
                'in_channels to the channels of the tapped features.'
            )
        x = x.detach() if self.detach_input else x
        # BatchNorm1d would take N for the channels of (B, N, C).
        points = x.flatten(0, 1)
        if valid is None:
            projected: Tensor = self.layers(points)
            return projected.unflatten(0, x.shape[:2])
        if valid.dtype != torch.bool or valid.shape != x.shape[:2]:
            raise ShapeError(
                f'Projector: valid is {valid.dtype} {tuple(valid.shape)}, expected bool {tuple(x.shape[:2])}, one '
                'entry per point.'
            )
        kept = valid.reshape(-1, 1)
        # Not multiplied by zero: NaN times zero is NaN, also in the gradients of the weights.
        points = torch.where(kept, points, 0.0)
        for layer in self.layers:
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training:
                points = _batch_norm_of_valid(points, kept, layer)
            else:
                points = layer(points)
        return torch.where(kept, points, 0.0).unflatten(0, x.shape[:2])


def _batch_norm_of_valid(points: Tensor, kept: Tensor, norm: nn.modules.batchnorm._BatchNorm) -> Tensor:
    """Normalise ``(M, C)`` by the statistics of the kept rows, and follow these in the running ones, as ``norm`` does.

    Boolean indexing would do the same with one wait of the host in every step.
    """
    dtype, points = points.dtype, points.float() if points.dtype in (torch.float16, torch.bfloat16) else points
    count = kept.sum()
    mean = torch.where(kept, points, 0.0).sum(0) / count.clamp(min=1)
    centred = torch.where(kept, points - mean, 0.0)
    variance = centred.square().sum(0) / count.clamp(min=1)
    running = norm.running_mean, norm.running_var
    unbiased = variance * count / (count - 1).clamp(min=1)
    # Without a point there is nothing to follow.
    rate = (norm.momentum or 0.0) * (count > 0)
    for followed, value in zip(running, (mean, unbiased), strict=True):
        if followed is not None:
            followed.lerp_(value.detach().to(followed.dtype), rate.to(followed.dtype))
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.add_(1)
    return (centred * (variance + norm.eps).rsqrt() * norm.weight + norm.bias).to(dtype)
