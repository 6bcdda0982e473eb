"""Laplacian aleatoric uncertainty loss for depth (Kendall and Gal 2017; Chen et al., MonoPair, CVPR 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32, masked_mean, require_shape
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, did_you_mean

# The rounded square root of two of the official MonoDLE, DID-M3D and MonoDETR losses; kept so that their values are
# reproduced to the last digit.
SQRT_TWO = 1.4142
PARAMS = ('scale', 'variance')


def laplacian_uncertainty_loss(
    pred: Tensor,
    log_uncertainty: Tensor,
    target: Tensor,
    mask: Tensor | None = None,
    *,
    param: str = 'scale',
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    r"""Negative log-likelihood of a Laplace distribution, up to constants, averaged over valid entries.

    ``param='scale'`` (MonoDLE, MonoDistill, MonoSTL, MonoDETR) reads the network's second channel :math:`s` as the log
    scale: :math:`\sqrt2 e^{-s}|\hat z - z| + s`. ``param='variance'`` (GUPNet, DID-M3D, MonoSKD) reads it as the log
    variance: :math:`\sqrt2 e^{-s/2}|\hat z - z| + s/2`. The two are *not* interchangeable for a trained network.

    Args:
        pred: Predicted values (metres for depth), any shape.
        log_uncertainty: The channel :math:`s`, same shape.
        target: Targets, same shape.
        mask: Valid entries, boolean, same shape; ``None`` keeps all.
        param: ``'scale'`` or ``'variance'``.
        avg_factor: Divisor; by default the number of valid entries (at least 1).

    Returns:
        A 0-dim tensor; 0 if no entry is valid. Can be negative.

    Raises:
        ShapeError: If the shapes differ.
        ConfigError: If ``param`` is unknown.

    Example:
        >>> laplacian_uncertainty_loss(torch.tensor([12.0]), torch.tensor([0.0]), torch.tensor([10.0]))
        tensor(2.8284)
    """
    if param not in PARAMS:
        raise ConfigError(f'laplacian_uncertainty_loss: unknown param {param!r}; {did_you_mean(param, PARAMS)}')
    name = 'laplacian_uncertainty_loss'
    require_shape(log_uncertainty, pred.shape, loss=name, name='log_uncertainty')
    require_shape(target, pred.shape, loss=name, name='target')
    pred, log_uncertainty = as_float32(pred), as_float32(log_uncertainty)
    if mask is not None:
        require_shape(mask, pred.shape, loss=name, name='mask')
        # Masked before the exponential, whose gradient would otherwise turn an overflow outside the mask into NaN.
        log_uncertainty = torch.where(mask, log_uncertainty, 0.0)
    log_scale = log_uncertainty if param == 'scale' else 0.5 * log_uncertainty
    values = SQRT_TWO * torch.exp(-log_scale) * (pred - target).abs() + log_scale
    return masked_mean(values, mask, avg_factor)


@MODELS.register_module()
class LaplacianUncertaintyLoss(nn.Module):
    """Module form of :func:`laplacian_uncertainty_loss`.

    Args:
        param: ``'scale'`` or ``'variance'``: how the network's uncertainty channel is to be read.
        loss_weight: Factor on the result.

    Raises:
        ConfigError: If ``param`` is unknown.
    """

    def __init__(self, param: str = 'scale', *, loss_weight: float = 1.0) -> None:
        super().__init__()
        if param not in PARAMS:
            raise ConfigError(f'LaplacianUncertaintyLoss: unknown param {param!r}; {did_you_mean(param, PARAMS)}')
        self.param = param
        self.loss_weight = loss_weight

    def forward(
        self,
        pred: Tensor,
        log_uncertainty: Tensor,
        target: Tensor,
        mask: Tensor | None = None,
        *,
        avg_factor: Tensor | float | None = None,
    ) -> Tensor:
        """See :func:`laplacian_uncertainty_loss`."""
        loss = laplacian_uncertainty_loss(pred, log_uncertainty, target, mask, param=self.param, avg_factor=avg_factor)
        return self.loss_weight * loss

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'param={self.param!r}, loss_weight={self.loss_weight}'
