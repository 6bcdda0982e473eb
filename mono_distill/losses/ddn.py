"""Classification of foreground depth into bins (CaDDN, CVPR 2021; MonoDETR, ICCV 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32, require_shape
from mono_distill.ops.depth_bins import depth_bin_targets
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

DEPTH_RANGE = (1e-3, 60.0)
"""MonoDETR's range of depths in metres."""


def ddn_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    depth_range: tuple[float, float] = DEPTH_RANGE,
    alpha: float = 0.25,
    gamma: float = 2.0,
    foreground_weight: float = 13.0,
    background_weight: float = 1.0,
    smoothing: float = 0.0,
    avg_factor: Tensor | float | None = None,
) -> Tensor:
    r"""Focal loss of a depth distribution per pixel, with more weight on the foreground.

    With :math:`p_{uk}` the softmax over the bins at pixel u, :math:`k(u)` the bin of the true depth :math:`z_u` (bins
    that widen linearly with distance; one extra class for the background and for all depths outside of the range) and
    U pixels in the batch,

    .. math:: L = -\frac{\alpha}{U} \sum_u w_u\,(1 - p_{u k(u)})^\gamma \log p_{u k(u)},
        \qquad w_u = \text{foreground\_weight if } z_u > 0 \text{, else background\_weight}

    This is equation 7 of CaDDN (Reading et al.) with the settings of MonoDETR, where the true depth is that of the
    nearest 2D box over a pixel, see :func:`mono_distill.ops.box_depth_map.box_depth_map`. The official code of both
    (``ddn_loss.py``, with the focal loss of Kornia) adds 1e-6 to *every* entry of the one-hot target as a guard; this
    is ``smoothing=1e-6`` and changes the loss in the fifth digit.

    Args:
        student: Logits ``(B, D + 1, h, w)`` of D bins and the extra class.
        teacher: True depths ``(B, 1, h, w)`` in metres; 0 is background, NaN unknown: such pixels teach nothing. It
            receives no gradient.
        depth_range: Near edge of the first and far edge of the last bin, metres.
        alpha: Factor of the focal loss.
        gamma: Its exponent; 0 is the cross entropy.
        foreground_weight: Weight of pixels with a depth.
        background_weight: Weight of pixels without.
        smoothing: Number added to all entries of the one-hot target.
        avg_factor: The divisor U, by default the number of all pixels, known or not.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: The shapes do not fit.
        ConfigError: An option is out of range.

    Example:
        >>> logits = torch.zeros(1, 81, 2, 3)
        >>> round(ddn_loss(logits, torch.zeros(1, 1, 2, 3)).item(), 4)  # 0.25 (80 / 81)^2 log 81
        1.0717
    """
    check_ddn_options(gamma, smoothing)
    if student.dim() != 4 or student.shape[1] < 2:
        raise ShapeError(
            f'ddn_loss: student has shape {tuple(student.shape)}, expected (B, D + 1, h, w): D bins and the background.'
        )
    require_shape(teacher, (student.shape[0], 1, *student.shape[2:]), loss='ddn_loss', name='teacher')
    student, depth = as_float32(student), as_float32(teacher.detach())
    with full_precision(student):
        target = depth_bin_targets(depth, depth_range=depth_range, bins=student.shape[1] - 1)
        log_p = student.log_softmax(1)
        focal = _focal(log_p.gather(1, target), gamma)
        if smoothing:
            focal = focal + smoothing * _focal(log_p, gamma).sum(1, keepdim=True)
        weight = torch.where(depth > 0, foreground_weight, background_weight).to(focal.dtype)
        total = torch.where(depth.isnan(), focal.new_zeros(()), weight * focal).sum()
        return alpha * total / (depth.numel() if avg_factor is None else avg_factor)


def _focal(log_p: Tensor, gamma: float) -> Tensor:
    # 1 - p from log p directly: near p = 1 the difference would lose its digits.
    return -((-torch.expm1(log_p)).pow(gamma)) * log_p


def check_ddn_options(gamma: float, smoothing: float, *, owner: str = 'ddn_loss') -> None:
    """Raise ConfigError for options that are out of range."""
    # Between 0 and 1 the gradient is infinite where the network is certain and right.
    if gamma != 0 and not gamma >= 1:
        raise ConfigError(f'{owner}: gamma must be 0 or at least 1, got {gamma}.')
    if not 0 <= smoothing < 1:
        raise ConfigError(f'{owner}: smoothing must lie in [0, 1), got {smoothing}.')


@MODELS.register_module()
class DDNLoss(nn.Module):
    """Module form of :func:`ddn_loss`.

    Args:
        depth_range: Near edge of the first and far edge of the last bin, metres.
        alpha: Factor of the focal loss.
        gamma: Its exponent.
        foreground_weight: Weight of pixels with a depth.
        background_weight: Weight of pixels without.
        smoothing: Number added to all entries of the one-hot target.
        loss_weight: Factor on the result.

    Raises:
        ConfigError: An option is out of range.
    """

    def __init__(
        self,
        *,
        depth_range: tuple[float, float] = DEPTH_RANGE,
        alpha: float = 0.25,
        gamma: float = 2.0,
        foreground_weight: float = 13.0,
        background_weight: float = 1.0,
        smoothing: float = 0.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__()
        check_ddn_options(gamma, smoothing, owner='DDNLoss')
        near, far = depth_range
        if not near < far:
            raise ConfigError(f'DDNLoss: depth_range must go from near to far, got {depth_range}.')
        self.options = dict(
            depth_range=(near, far),
            alpha=alpha,
            gamma=gamma,
            foreground_weight=foreground_weight,
            background_weight=background_weight,
            smoothing=smoothing,
        )
        self.loss_weight = loss_weight

    def forward(self, student: Tensor, teacher: Tensor, *, avg_factor: Tensor | float | None = None) -> Tensor:
        """See :func:`ddn_loss`."""
        return self.loss_weight * ddn_loss(student, teacher, avg_factor=avg_factor, **self.options)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return ', '.join(f'{name}={value}' for name, value in {**self.options, 'loss_weight': self.loss_weight}.items())
