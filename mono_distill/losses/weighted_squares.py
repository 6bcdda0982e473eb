"""Squared distance of feature maps weighted by place, shared by the losses that differ only in what they weigh."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mono_distill.losses.masked import mean_over_ranks, require_shape
from mono_distill.utils.errors import ShapeError

Levels = Sequence[tuple[Tensor, Tensor]]


def weighted_square_means(pairs: Levels, weights: Sequence[Tensor] | None) -> Tensor:
    r"""Mean over places, by weight, of the squared distance averaged over channels; one number per level.

    .. math:: \frac{\sum_{b,h,w} M\, \operatorname{mean}_c (S - T)^2}{\sum_{b,h,w} M}

    Args:
        pairs: Student and teacher ``(B, C, H, W)`` of each level.
        weights: :math:`M` of each level, ``(B, H, W)`` in the dtype of the maps; ``None`` for all places alike. Where
            it is 0 the teacher may hold anything. Under distributed training the sum in the divisor is that of the
            global batch.

    Returns:
        ``(levels,)``; 0 for a level without any weight.

    Example:
        >>> pair = torch.full((1, 4, 1, 2), 3.0), torch.ones(1, 4, 1, 2)
        >>> weighted_square_means([pair], [torch.tensor([[[0.5, 0.0]]])])
        tensor([4.])
    """
    if weights is None:
        return torch.stack([F.mse_loss(s, t) for s, t in pairs])
    sums = []
    for (s, t), weight in zip(pairs, weights, strict=True):
        # Where nothing is compared the student meets itself, so that NaN of the teacher stays out of the gradient.
        target = torch.where(weight.unsqueeze(1) == 0, s.detach(), t)
        sums.append(((s - target).square().mean(1) * weight).sum())
    totals = mean_over_ranks(torch.stack([weight.sum() for weight in weights]))
    return torch.stack(sums) / torch.where(totals == 0, 1.0, totals)


def level_masks(mask: Tensor | Sequence[Tensor], pairs: Levels, *, loss: str) -> list[Tensor]:
    """One mask ``(B, H, W)`` per level, checked, without gradient, in the dtype of the maps.

    Args:
        mask: A mask, or a sequence of them.
        pairs: Student and teacher of each level.
        loss: Name of the loss, for the messages.

    Raises:
        ShapeError: There is not one mask per level, or one does not fit its maps.

    Example:
        >>> maps = torch.zeros(1, 4, 1, 2)
        >>> level_masks(torch.tensor([[[True, False]]]), [(maps, maps)], loss='demo')
        [tensor([[[1., 0.]]])]
    """
    masks = [mask] if isinstance(mask, Tensor) else list(mask)
    if len(masks) != len(pairs):
        raise ShapeError(f'{loss}: {len(pairs)} levels but {len(masks)} masks; give one per level.')
    for level, ((s, _), m) in enumerate(zip(pairs, masks, strict=True)):
        require_shape(m, (s.shape[0], *s.shape[2:]), loss=loss, name=f'mask of level {level}')
    return [m.detach().to(s.dtype) for (s, _), m in zip(pairs, masks, strict=True)]
