"""Discrete depth: metres to bins and back."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mono_distill.utils.errors import ConfigError, ShapeError

Spacing = Literal['linear_increasing', 'uniform']


def depth_to_index(
    depth: Tensor,
    *,
    depth_range: tuple[float, float] = (2.0, 46.8),
    bins: int = 120,
    spacing: Spacing = 'linear_increasing',
) -> Tensor:
    r"""Continuous bin index of a depth: integers at the edges of bins, so that ``floor`` gives the bin.

    With ``'linear_increasing'`` (LID, CaDDN, CVPR 2021) every bin is wider than the one before by the width
    :math:`\delta = 2 (z_1 - z_0) / (D (D + 1))` of the first:

    .. math:: i(z) = -\tfrac{1}{2} + \tfrac{1}{2} \sqrt{1 + 8 (z - z_0) / \delta}

    With ``'uniform'`` all bins are alike, :math:`i(z) = D (z - z_0) / (z_1 - z_0)`. Differentiable inside the range.

    Args:
        depth: Metres, any shape.
        depth_range: :math:`(z_0, z_1)`; the default is that of CaDDN, CMKD and MonoTAKD on KITTI.
        bins: D.
        spacing: ``'linear_increasing'`` or ``'uniform'`` (BEVDepth on nuScenes: range (2, 58), 112 bins).

    Returns:
        Indices of the same shape; negative or NaN in front of the range, above D behind it.

    Raises:
        ConfigError: The range is empty, there are no bins, or the spacing is unknown.

    Example:
        >>> depth_to_index(torch.tensor([2.0, 46.8]))
        tensor([  0., 120.])
    """
    near, far = _checked(depth_range, bins, spacing)
    if spacing == 'uniform':
        return (depth - near) * (bins / (far - near))
    # float64: far from the first bin the result is a small difference of large numbers.
    scaled = (depth.double() - near) * (4 * bins * (bins + 1) / (far - near))
    return ((1 + scaled).sqrt() / 2 - 0.5).to(depth.dtype)


def index_to_depth(
    index: Tensor,
    *,
    depth_range: tuple[float, float] = (2.0, 46.8),
    bins: int = 120,
    spacing: Spacing = 'linear_increasing',
) -> Tensor:
    r"""Invert :func:`depth_to_index`: :math:`z(i) = z_0 + (z_1 - z_0) \, i (i + 1) / (D (D + 1))` for increasing bins.

    Args:
        index: Continuous indices, any shape; ``k`` is the near edge of bin k, ``k + 0.5`` lies within it.
        depth_range: See :func:`depth_to_index`.
        bins: See :func:`depth_to_index`.
        spacing: See :func:`depth_to_index`.

    Returns:
        Metres, the same shape; floating.

    Raises:
        ConfigError: The range is empty, there are no bins, or the spacing is unknown.

    Example:
        >>> index_to_depth(torch.tensor([0, 119, 120]))
        tensor([ 2.0000, 46.0595, 46.8000])
    """
    near, far = _checked(depth_range, bins, spacing)
    index = index if index.is_floating_point() else index.float()
    share = index / bins if spacing == 'uniform' else index * (index + 1) / (bins * (bins + 1))
    return near + (far - near) * share


def depth_bin_targets(
    depth: Tensor,
    *,
    depth_range: tuple[float, float] = (2.0, 46.8),
    bins: int = 120,
    spacing: Spacing = 'linear_increasing',
) -> Tensor:
    """Bin of each depth as a class number; everything outside of the range, NaN included, is the extra class ``bins``.

    Args:
        depth: Metres, any shape.
        depth_range: See :func:`depth_to_index`.
        bins: See :func:`depth_to_index`.
        spacing: See :func:`depth_to_index`.

    Returns:
        int64 in ``0 .. bins``, the same shape.

    Raises:
        ConfigError: The range is empty, there are no bins, or the spacing is unknown.

    Example:
        >>> depth_bin_targets(torch.tensor([0.0, 2.0, 46.7, 50.0, float('nan')]))
        tensor([120,   0, 119, 120, 120])
    """
    index = depth_to_index(depth, depth_range=depth_range, bins=bins, spacing=spacing)
    # NaN fails both comparisons.
    return torch.where((index >= 0) & (index < bins), index, bins).long()


def one_hot_depth(targets: Tensor, bins: int) -> Tensor:
    """Turn classes of :func:`depth_bin_targets` into a depth distribution that is certain.

    Args:
        targets: ``(B, h, w)`` int64, or any shape with a batch in front.
        bins: Number of bins; pixels of this class have no depth and get zeros in all bins.

    Returns:
        ``(B, bins, h, w)`` float32.

    Raises:
        ShapeError: ``targets`` has no dimension.

    Example:
        >>> one_hot_depth(torch.tensor([[[1, 2]]]), bins=2)
        tensor([[[[0., 0.]],
        <BLANKLINE>
                 [[1., 0.]]]])
    """
    if targets.dim() < 1:
        raise ShapeError('one_hot_depth: expected targets (B, h, w), got a single number.')
    shape = (targets.shape[0], bins + 1, *targets.shape[1:])
    return torch.zeros(shape, device=targets.device).scatter_(1, targets.unsqueeze(1), 1.0)[:, :bins]


def _checked(depth_range: tuple[float, float], bins: int, spacing: str) -> tuple[float, float]:
    near, far = depth_range
    if not near < far or bins < 1:
        raise ConfigError(f'depth bins: need near < far and at least one bin, got range {depth_range}, {bins} bins.')
    if spacing not in ('linear_increasing', 'uniform'):
        raise ConfigError(f"depth bins: spacing must be 'linear_increasing' or 'uniform', got '{spacing}'.")
    return near, far
