"""Dimension-aware L1 loss for 3D sizes (Ma et al., MonoDLE, CVPR 2021, section 4.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32, masked_mean, mean_over_ranks, require_shape
from mono_distill.registry import MODELS


def dim_aware_l1_loss(
    pred: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    *,
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    r"""Relative L1 error, rescaled to the value of the plain L1 error.

    With :math:`r = |\hat d - d| / d` the loss is :math:`\kappa\, \mathrm{mean}(r)`, where the detached
    :math:`\kappa = \mathrm{mean}|\hat d - d| / \mathrm{mean}(r)` makes its *value* that of the mean L1 error: only the
    gradient is redistributed, by :math:`1/d`. In distributed training both means of :math:`\kappa` run over all ranks,
    so every rank must call the loss. Where all predictions are exact, the official code gives NaN; here the loss is 0.

    Args:
        pred: Predicted dimensions (..., D) in metres.
        target: Annotated dimensions (..., D) in metres, positive where ``mask`` holds.
        mask: Valid objects (...), boolean; ``None`` keeps all.
        avg_factor: Divisor; by default the number of valid entries, objects times D (at least 1).

    Returns:
        A 0-dim tensor; 0 if no object is valid.

    Raises:
        ShapeError: If the shapes do not fit.

    Example:
        >>> pred = torch.tensor([[1.0, 1.0, 3.0]], requires_grad=True)
        >>> loss = dim_aware_l1_loss(pred, torch.tensor([[2.0, 2.0, 4.0]]))
        >>> loss.backward()
        >>> loss.item(), pred.grad.tolist()
        (1.0, [[-0.4000000059604645, -0.4000000059604645, -0.20000000298023224]])
    """
    require_shape(target, pred.shape, loss='dim_aware_l1_loss', name='target')
    if mask is not None:
        require_shape(mask, pred.shape[:-1], loss='dim_aware_l1_loss', name='mask')
        mask = mask.unsqueeze(-1).expand_as(pred)
        # Padded slots hold zeros: their division is kept out of the graph.
        target = torch.where(mask, target, 1.0)
        pred = torch.where(mask, pred, target.to(pred.dtype))
    pred = as_float32(pred)
    absolute = (pred - target).abs()
    relative = absolute / target
    absolute_sum, relative_sum = mean_over_ranks(torch.stack([absolute.sum(), relative.sum()])).unbind()
    compensation = absolute_sum / relative_sum.clamp(min=torch.finfo(relative_sum.dtype).tiny)
    return compensation * masked_mean(relative, mask, avg_factor)


@MODELS.register_module()
class DimAwareL1Loss(nn.Module):
    """Module form of :func:`dim_aware_l1_loss`.

    Args:
        loss_weight: Factor on the result.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        *,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """See :func:`dim_aware_l1_loss`."""
        return self.loss_weight * dim_aware_l1_loss(pred, target, mask, avg_factor=avg_factor)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'loss_weight={self.loss_weight}'
