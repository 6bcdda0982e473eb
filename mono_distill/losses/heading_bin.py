"""Heading as classification into bins plus a residual (Qi et al., Frustum PointNets, CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.masked import as_float32, masked_mean, require_shape
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


def heading_bin_loss(
    pred: Tensor,
    target_bin: Tensor,
    target_residual: Tensor,
    mask: Tensor | None = None,
    *,
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    """Cross-entropy of the heading bin plus L1 of the residual of the annotated bin, averaged over valid objects.

    Args:
        pred: (..., 2K): K bin logits, then K residuals in radians.
        target_bin: Annotated bin (...), int64 in [0, K).
        target_residual: Residual to the centre of that bin (...), radians.
        mask: Valid objects (...), boolean; ``None`` keeps all.
        avg_factor: Divisor; by default the number of valid objects (at least 1).

    Returns:
        A 0-dim tensor; 0 if no object is valid.

    Raises:
        ShapeError: If the last dimension is odd or the shapes do not fit.

    Example:
        >>> heading_bin_loss(torch.zeros(1, 24), torch.tensor([3]), torch.tensor([0.25]))  # log(12) + 0.25
        tensor(2.7349)
    """
    if pred.shape[-1] % 2:
        raise ShapeError(
            f'heading_bin_loss: pred has {pred.shape[-1]} channels; expected an even number, '
            'as many residuals as bin logits.'
        )
    name = 'heading_bin_loss'
    require_shape(target_bin, pred.shape[:-1], loss=name, name='target_bin')
    require_shape(target_residual, pred.shape[:-1], loss=name, name='target_residual')
    if mask is not None:
        require_shape(mask, pred.shape[:-1], loss=name, name='mask')
        target_bin = torch.where(mask, target_bin, 0)
        pred = torch.where(mask.unsqueeze(-1), pred, 0.0)
    logits, residuals = as_float32(pred).chunk(2, dim=-1)
    cross_entropy = F.cross_entropy(logits.flatten(0, -2), target_bin.flatten(), reduction='none')
    residual = residuals.gather(-1, target_bin.unsqueeze(-1)).squeeze(-1)
    return masked_mean(cross_entropy.view_as(residual) + (residual - target_residual).abs(), mask, avg_factor)


@MODELS.register_module()
class HeadingBinLoss(nn.Module):
    """Module form of :func:`heading_bin_loss`.

    Args:
        loss_weight: Factor on the result.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target_bin: Tensor,
        target_residual: Tensor,
        mask: Tensor | None = None,
        *,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """See :func:`heading_bin_loss`."""
        return self.loss_weight * heading_bin_loss(pred, target_bin, target_residual, mask, avg_factor=avg_factor)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'loss_weight={self.loss_weight}'
