"""Deformable convolution (v1) in plain PyTorch, on any device."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.utils.errors import ShapeError


def deform_conv2d(x: Tensor, offset: Tensor, weight: Tensor) -> Tensor:
    r"""Convolve with taps that are moved from their places by ``offset``; stride 1, same size, one group.

    .. math:: y_o(p) = \sum_k \sum_c W_{ock}\, x_c(p + r_k + \Delta_k(p))

    with the taps :math:`r_k` of the kernel, row by row, and bilinear sampling of zeros outside the map. The layout of
    the offsets is that of mmcv and torchvision. Positions are computed in float32 also under autocast: bfloat16 has no
    fractions beyond the 128th place.

    Args:
        x: ``(B, C, H, W)``.
        offset: ``(B, 2 * K * K, H, W)`` in places: y and x of each tap in turn.
        weight: ``(O, C, K, K)``, K odd.

    Returns:
        ``(B, O, H, W)``.

    Raises:
        ShapeError: The shapes do not fit.

    Example:
        >>> x = torch.arange(4.0).view(1, 1, 1, 4)
        >>> shift = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, 1, 4)
        >>> deform_conv2d(x, shift, torch.ones(1, 1, 1, 1)).flatten()
        tensor([1., 2., 3., 0.])
    """
    _check_shapes(x, offset, weight)
    size = weight.shape[-1]
    height = x.shape[2]
    precise = torch.promote_types(x.dtype, torch.float32)
    with torch.autocast(x.device.type, enabled=False):
        grid = _sampling_grid(offset.to(precise), size)
        # The map as each tap sees it, in one call.
        columns = F.grid_sample(x.to(precise), grid, mode='bilinear', padding_mode='zeros', align_corners=False)
        columns = columns.unflatten(2, (size * size, height)).flatten(1, 2).to(x.dtype)
    # A 1x1 convolution over channels and taps; outside the context, so that autocast may lower it.
    return F.conv2d(columns, weight.flatten(1)[..., None, None])


def _check_shapes(x: Tensor, offset: Tensor, weight: Tensor) -> None:
    fits = x.dim() == weight.dim() == 4
    if fits:
        batch, channels, height, width = x.shape
        size = weight.shape[3]
        fits = size % 2 == 1 and weight.shape[1:] == (channels, size, size)
        fits = fits and offset.shape == (batch, 2 * size * size, height, width)
    if not fits:
        raise ShapeError(
            f'deform_conv2d: x {tuple(x.shape)}, offset {tuple(offset.shape)} and weight {tuple(weight.shape)} do not '
            'fit; expected (B, C, H, W), (B, 2 * K * K, H, W) and (O, C, K, K) with K odd.'
        )


def _sampling_grid(offset: Tensor, size: int) -> Tensor:
    """Places of all taps in the coordinates of ``grid_sample``: ``(B, K * K * H, W, 2)``."""
    height, width = offset.shape[2:]
    reach = torch.arange(size, dtype=offset.dtype, device=offset.device) - size // 2
    tap_y, tap_x = torch.meshgrid(reach, reach, indexing='ij')
    rows = torch.arange(height, dtype=offset.dtype, device=offset.device).view(1, -1, 1)
    columns = torch.arange(width, dtype=offset.dtype, device=offset.device).view(1, 1, -1)
    moved = offset.unflatten(1, (-1, 2))
    y = moved[:, :, 0] + tap_y.reshape(-1, 1, 1) + rows
    x = moved[:, :, 1] + tap_x.reshape(-1, 1, 1) + columns
    return torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1).flatten(1, 2)


class DeformConv2d(nn.Module):
    """3x3 deformable convolution with offsets predicted from its own input by a 3x3 convolution, both without bias.

    Args:
        channels: Channels in and out.
        zero_offsets: Start as an ordinary convolution; otherwise offsets start random.

    Raises:
        ShapeError: On call: the input is not ``(B, channels, H, W)``.

    Example:
        >>> DeformConv2d(4)(torch.zeros(2, 4, 5, 6)).shape
        torch.Size([2, 4, 5, 6])
    """

    def __init__(self, channels: int, *, zero_offsets: bool = True) -> None:
        super().__init__()
        self.conv_offset = nn.Conv2d(channels, 18, 3, padding=1, bias=False)
        # Holds the weight, so that it is initialised like any other convolution.
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        if zero_offsets:
            nn.init.zeros_(self.conv_offset.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(B, channels, H, W)``."""
        channels = self.conv.in_channels
        if x.dim() != 4 or x.shape[1] != channels:
            raise ShapeError(f'DeformConv2d: expected a map (B, {channels}, H, W), got {tuple(x.shape)}.')
        return deform_conv2d(x, self.conv_offset(x), self.conv.weight)
