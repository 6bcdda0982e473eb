"""Projection of the features of points into a space in which they are compared (BEVDistill, ICLR 2023)."""

from __future__ import annotations

from typing import Literal

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

    Args:
        in_channels: Channels of the features.
        out_channels: Width of all layers and of the result.
        norm: ``'batch'`` over all points of the batch, as officially; ``'layer'`` over the channels of each point, for
            padded lists, whose empty slots would enter the batch's statistics, and for single points.
        detach_input: Whether the gradient ends at the input.

    Raises:
        ConfigError: ``norm`` is unknown.
        ShapeError: On call: the input is not ``(B, N, in_channels)``.

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

    def forward(self, x: Tensor) -> Tensor:
        """Project every point.

        Args:
            x: Features ``(B, N, in_channels)``.

        Returns:
            ``(B, N, out_channels)``.
        """
        if x.dim() != 3 or x.shape[2] != self.in_channels:
            raise ShapeError(
                f'Projector: expected features of points (B, N, {self.in_channels}), got {tuple(x.shape)}; set '
                'in_channels to the channels of the tapped features.'
            )
        x = x.detach() if self.detach_input else x
        # BatchNorm1d would take N for the channels of (B, N, C).
        projected: Tensor = self.layers(x.flatten(0, 1))
        return projected.unflatten(0, x.shape[:2])
