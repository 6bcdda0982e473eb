"""How many directions the features of a map use: a diagnostic of collapse."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.utils.errors import ShapeError


@torch.no_grad()
def effective_dimension(features: Tensor, valid: Tensor | None = None) -> Tensor:
    r"""Effective dimension of features over points.

    With :math:`\lambda` the eigenvalues of the covariance :math:`\Sigma` of the channels,

    .. math:: d = \frac{\|\lambda\|_1}{\|\lambda\|_2} = \frac{\operatorname{tr} \Sigma}{\|\Sigma\|_F}

    between 1 (one direction) and :math:`\sqrt C` (all alike); no eigenvalue is computed. :math:`d^2` is the
    participation ratio. STXD (NeurIPS 2023; the two columns of the table on slide 5 of the authors' talk are d and its
    square) finds 5.8 for a LiDAR teacher's map, 3.8 for a student distilled by a squared distance and 4.4 for one
    distilled by cross-correlation.

    Nothing waits for the device: a hook may collect the result and read it when it writes its log.

    Args:
        features: ``(..., C)``; all leading dimensions are points.
        valid: Bool, the leading shape of ``features``; points that exist, ``None`` for all.

    Returns:
        0-dim tensor, without gradient; 0 where nothing varies.

    Raises:
        ShapeError: ``valid`` does not fit.

    Example:
        >>> corners = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> round(effective_dimension(corners).item() ** 2, 4)
        2.0
        >>> effective_dimension(corners @ torch.ones(2, 2))
        tensor(1.)
    """
    if valid is not None and valid.shape != features.shape[:-1]:
        raise ShapeError(
            f'effective_dimension: valid has shape {tuple(valid.shape)}, expected {tuple(features.shape[:-1])}, one '
            'entry per point.'
        )
    return effective_dimensions(features.unsqueeze(0), valid)[0]


@torch.no_grad()
def effective_dimensions(features: Tensor, valid: Tensor | None = None) -> Tensor:
    """:func:`effective_dimension` of several features of the same points, in the calls of one.

    Args:
        features: ``(G, ..., C)``.
        valid: Bool ``(...)``, points that exist; ``None`` for all.

    Returns:
        ``(G,)``.

    Example:
        >>> line = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
        >>> effective_dimensions(torch.stack([line, 2 * line]))
        tensor([1., 1.])
    """
    with torch.autocast(features.device.type, enabled=False):
        points = features.reshape(len(features), -1, features.shape[-1])
        points = points if points.dtype == torch.float64 else points.float()
        if valid is None:
            centred = points - points.sum(1, keepdim=True) / max(points.shape[1], 1)
        else:
            kept = valid.reshape(-1, 1).bool()
            points = torch.where(kept, points, 0.0)
            centred = points - kept * (points.sum(1, keepdim=True) / kept.sum().clamp(min=1))
        # The number of points cancels.
        scatter = torch.bmm(centred.transpose(1, 2), centred)
        size = torch.linalg.matrix_norm(scatter)
        # The mean is rounded: what varies by less than that does not vary.
        noise = (8 * torch.finfo(points.dtype).eps) ** 2 * points.square().sum((1, 2))
        spread = scatter.diagonal(dim1=1, dim2=2).sum(1)
        return torch.where(spread > noise, spread / size.clamp(min=torch.finfo(size.dtype).tiny), 0.0)
