"""Normalisation layers of MonoTAKD's modules, for batches of any size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.utils.errors import ConfigError


def norm2d(channels: int, groups: int | None) -> nn.Module:
    """Return batch norm, or group norm for a number of groups; both have the same parameters.

    Group norm is what training with one image per process needs: batch norm then normalises by the image itself, in
    evaluation by averages over images, so that whatever shifts the whole map of an image, such as a globally pooled
    branch, is taken out in training and not in evaluation.

    Args:
        channels: Channels of the map.
        groups: Groups, or ``None`` for batch norm.

    Raises:
        ConfigError: The channels cannot be split into the groups.

    Example:
        >>> type(norm2d(8, None)).__name__, type(norm2d(8, 2)).__name__
        ('BatchNorm2d', 'GroupNorm')
    """
    if groups is None:
        return nn.BatchNorm2d(channels)
    if groups < 1 or channels % groups:
        raise ConfigError(f'norm_groups={groups} does not divide {channels} channels; give a divisor or None.')
    return nn.GroupNorm(groups, channels)


def pooled_norm2d(channels: int, groups: int | None) -> nn.Module:
    """Return the counterpart of :func:`norm2d` for globally pooled maps ``(B, channels, 1, 1)``.

    A group of two channels with one number each would only keep which is larger, so group norm has one group here.

    Args:
        channels: Channels of the map.
        groups: ``None`` for batch norm, otherwise group norm.
    """
    return PooledBatchNorm2d(channels) if groups is None else nn.GroupNorm(1, channels)


class PooledBatchNorm2d(nn.BatchNorm2d):
    """Batch norm for globally pooled maps that does not fail with a single image per process.

    One number per channel has no spread: PyTorch refuses it in training. Here it is then normalised by the running
    statistics, as in evaluation, and leaves them as they are. With more images it is ``BatchNorm2d``; the parameters
    are the same.

    Example:
        >>> import torch
        >>> PooledBatchNorm2d(2).train()(torch.full((1, 2, 1, 1), 3.0)).shape
        torch.Size([1, 2, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise ``(B, C, 1, 1)``."""
        if self.training and input.numel() == input.shape[1]:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)
