"""Uncertainty of the depth of every object, read from the maps of any dense head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

_CURE = 'give one stride and, for several levels, one regress_range per map'


def object_log_scale(
    maps: Tensor | Sequence[Tensor],
    targets: Mapping[str, Tensor],
    *,
    strides: Sequence[int] = (4,),
    regress_ranges: Sequence[Sequence[float]] | None = None,
    channel: int = -1,
) -> Tensor:
    r"""Read one channel at the centre of every object, from the level that predicts it.

    The losses of MonoSTL take :math:`\log \sigma` of every object, or a single map of it. Heads on a feature pyramid
    predict an object on one of several levels. FCOS-type heads (FCOS3D, PGD) choose it by size: the largest distance d
    from the centre to a side of the 2D box lies in the level's ``regress_range``. PGD trains ``exp(-w) L1 + w`` with
    its location-aware weight w, so w is :math:`\log \sigma`.

    Args:
        maps: ``(B, C, H, W)`` or a sequence of them, fine to coarse.
        targets: Output of :func:`mono_distill.targets.gt_boxes`.
        strides: Input pixels per cell of each level.
        regress_ranges: Smallest and largest d (pixels) of each level, as in the head's config; for one level none.
        channel: The channel to read.

    Returns:
        ``(B, N)``, 0 where there is no object.

    Raises:
        ShapeError: Maps, strides and ranges differ in number.

    Example:
        >>> fine, coarse = torch.full((1, 1, 4, 8), 0.5), torch.full((1, 1, 2, 4), 2.0)
        >>> boxes = torch.tensor([[[0.0, 0.0, 6.0, 6.0], [0.0, 0.0, 30.0, 14.0]]])
        >>> objects = dict(bboxes=boxes, centers_2d=boxes[..., 2:] / 2, mask_2d=torch.tensor([[True, True]]))
        >>> object_log_scale([fine, coarse], objects, strides=(4, 8), regress_ranges=((-1, 8), (8, 1e8)))
        tensor([[0.5000, 2.0000]])
    """
    levels = [maps] if isinstance(maps, Tensor) else list(maps)
    if len(levels) != len(strides) or (len(levels) > 1 and len(regress_ranges or ()) != len(levels)):
        raise ShapeError(
            f'object_log_scale: {len(levels)} maps, strides={tuple(strides)}, regress_ranges={regress_ranges}; {_CURE}.'
        )
    centres, boxes, valid = targets['centers_2d'], targets['bboxes'], targets['mask_2d']
    values = [_at(part[:, channel], centres, stride) for part, stride in zip(levels, strides, strict=True)]
    level = torch.zeros_like(valid, dtype=torch.long)
    if len(levels) > 1 and regress_ranges is not None:
        distance = torch.cat([centres - boxes[..., :2], boxes[..., 2:] - centres], dim=-1).amax(-1)
        for upper in [float(limits[1]) for limits in regress_ranges[:-1]]:
            level = level + (distance > upper)
    return torch.where(valid, torch.stack(values).gather(0, level.unsqueeze(0))[0], 0.0)


def _at(plane: Tensor, centres: Tensor, stride: int) -> Tensor:
    """Value (B, N) of a map (B, H, W) in the cells that hold the centres (B, N, 2)."""
    height, width = plane.shape[-2:]
    x, y = (centres / stride).long().unbind(-1)
    return plane.flatten(1).gather(1, y.clamp(0, height - 1) * width + x.clamp(0, width - 1))


@MODELS.register_module()
class ObjectLogScale(nn.Module):
    """Module form of :func:`object_log_scale`, for the ``targets`` of a distiller.

    Args:
        strides: Input pixels per cell of each level.
        regress_ranges: Smallest and largest distance (pixels) of each level, as in the head's config.
        channel: The channel to read.

    Raises:
        ConfigError: There are several levels and not as many ranges.
    """

    def __init__(
        self,
        strides: Sequence[int] = (4,),
        *,
        regress_ranges: Sequence[Sequence[float]] | None = None,
        channel: int = -1,
    ) -> None:
        super().__init__()
        if len(strides) > 1 and len(regress_ranges or ()) != len(strides):
            raise ConfigError(f'ObjectLogScale: strides={tuple(strides)}, regress_ranges={regress_ranges}; {_CURE}')
        self.strides, self.regress_ranges, self.channel = tuple(strides), regress_ranges, channel

    def forward(self, maps: Tensor | Sequence[Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`object_log_scale`."""
        return object_log_scale(
            maps, targets, strides=self.strides, regress_ranges=self.regress_ranges, channel=self.channel
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'strides={self.strides}, regress_ranges={self.regress_ranges}, channel={self.channel}'


@MODELS.register_module()
class ConstantLogScale(nn.Module):
    r"""The same uncertainty for every object, for heads that predict none (SMOKE, FCOS3D).

    MonoSTL's losses then select by place, and no longer by certainty: with :math:`\sigma = 2` m,
    :class:`~mono_distill.losses.SelectiveFeatureLoss` is half of the foreground L2 and
    :class:`~mono_distill.losses.SelectiveRelationLoss` an eighth of the difference of the inner products of objects.

    Args:
        scale: :math:`\sigma` in metres; above 1, or ``SelectiveFeatureLoss`` has weight 0.

    Raises:
        ConfigError: ``scale`` is not positive.

    Example:
        >>> ConstantLogScale(2.0)(dict(mask_2d=torch.tensor([[True, True, False]])))
        tensor([[0.6931, 0.6931, 0.6931]])
    """

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        if not scale > 0:
            raise ConfigError(f'ConstantLogScale: scale is in metres and positive, got {scale}')
        self.scale = scale

    def forward(self, targets: Mapping[str, Tensor]) -> Tensor:
        """Return log sigma (B, N) for the object slots of :func:`mono_distill.targets.gt_boxes`."""
        return torch.full(targets['mask_2d'].shape, math.log(self.scale), device=targets['mask_2d'].device)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'scale={self.scale}'
