"""Distance of box codes whose angle is compared by a sine (SECOND, Sensors 2018)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

YAW = 6
"""Place of the yaw in a box code (x, y, z, l, w, h, yaw, ...), the same in mmdet3d and OpenPCDet."""


def sine_smooth_l1(student: Tensor, teacher: Tensor, *, dim: int = -1, beta: float = 1 / 9) -> Tensor:
    r"""Smooth L1 distance of every entry of two box codes, of the yaw as :math:`\sin(\theta_S - \theta_T)`.

    .. math:: d(x) = \begin{cases} x^2 / (2 \beta) & |x| < \beta \\ |x| - \beta / 2 & \text{otherwise} \end{cases}

    The sine does not tell a box from one turned by half a circle, and leaves that to the direction classifier. SECOND,
    mmdet3d and OpenPCDet compare :math:`\sin\theta_S \cos\theta_T` with :math:`\cos\theta_S \sin\theta_T`, whose
    difference, and gradient, is the same.

    Args:
        student: Codes of at least seven entries along ``dim``.
        teacher: The same shape.
        dim: The dimension of the entries.
        beta: Where the square becomes linear; 1/9 in SECOND and its descendants.

    Returns:
        The same shape.

    Example:
        >>> import math
        >>> a, b = torch.zeros(7), torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, math.pi / 6])
        >>> sine_smooth_l1(a, b)[[2, 6]]
        tensor([0.9444, 0.4444])
    """
    difference = student - teacher
    before, yaw, after = difference.tensor_split((YAW, YAW + 1), dim)
    difference = torch.cat([before, yaw.sin(), after], dim)
    return F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction='none', beta=beta)
