"""Observation angle as one of twelve bins and a residual."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mono_distill.registry import TASK_UTILS

NUM_HEADING_BINS = 12
"""Bins of every published head that uses this coding (MonoDLE, MonoDETR, DID-M3D)."""


def wrap_angle(angle: Tensor) -> Tensor:
    """Bring angles in (-3*pi, 3*pi) into [-pi, pi] without touching those already there.

    Example:
        >>> wrap_angle(torch.tensor([0.5, 4.0]))
        tensor([ 0.5000, -2.2832])
    """
    angle = torch.where(angle > math.pi, angle - 2 * math.pi, angle)
    return torch.where(angle < -math.pi, angle + 2 * math.pi, angle)


@TASK_UTILS.register_module()
class HeadingBinCoder:
    """Bins centred on multiples of 2*pi/K; the residual is the angle from the centre of the bin.

    Args:
        num_bins: Number of bins K.
    """

    def __init__(self, num_bins: int = NUM_HEADING_BINS) -> None:
        self.num_bins = num_bins

    @property
    def bin_width(self) -> float:
        """Width of a bin in radians."""
        return 2 * math.pi / self.num_bins

    def encode(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """Return bin and residual of angles.

        Args:
            angle: Radians, any shape, any range.

        Returns:
            Bins (int64, in [0, K)) and residuals in [-pi/K, pi/K) radians, of the same shape.

        Example:
            >>> HeadingBinCoder().encode(torch.tensor([-0.1, 1.85]))
            (tensor([0, 4]), tensor([-0.1000, -0.2444]))
        """
        # float64, so that an angle on the border of two bins falls where the annotation's digits put it.
        shifted = torch.remainder(angle.double() + self.bin_width / 2, 2 * math.pi)
        index = torch.floor(shifted / self.bin_width).clamp(max=self.num_bins - 1)
        residual = shifted - (index + 0.5) * self.bin_width
        return index.long(), residual.to(angle.dtype)

    def decode(self, pred: Tensor) -> Tensor:
        """Return the angle of the bin with the highest logit plus that bin's residual.

        Args:
            pred: (..., 2K): bin logits, then residuals.

        Returns:
            Radians (...) in [-pi, pi].

        Example:
            >>> HeadingBinCoder(2).decode(torch.tensor([0.0, 1.0, 0.3, -0.1])) - math.pi
            tensor(-0.1000)
        """
        logits, residuals = pred.split(self.num_bins, dim=-1)
        index = logits.argmax(dim=-1)
        residual = residuals.gather(-1, index.unsqueeze(-1)).squeeze(-1)
        return wrap_angle(index * self.bin_width + residual)
