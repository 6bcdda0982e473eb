"""Batch normalisation over the valid slots of a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32


class MaskedBatchNorm2d(nn.Module):
    r"""As ``nn.BatchNorm2d``, with statistics of the valid entries of the batch only.

    Lists of objects differ in length, so they are padded. Picking the real ones by a boolean mask would make the host
    wait for the device in every step; here the padding has no weight in the statistics instead. Without a valid entry
    the running statistics normalise and stay as they are. Parameters and buffers have the names of ``nn.BatchNorm2d``.
    It is no subclass, so SyncBN conversion leaves it alone: statistics are those of one process, as in the released
    training.

    Args:
        num_features: Channels C.
        eps: Added to the variance.
        momentum: Weight of the new statistics in the running ones.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer('running_mean', torch.zeros(num_features))
        self.register_buffer('running_var', torch.ones(num_features))
        self.register_buffer('num_batches_tracked', torch.tensor(0, dtype=torch.long))

    def forward(self, values: Tensor, valid: Tensor) -> Tensor:
        """Normalise.

        Args:
            values: ``(S, C, H, W)``; entries that are not valid may hold anything finite.
            valid: ``(S,)`` bool.

        Returns:
            ``(S, C, H, W)`` in single precision at least.

        Example:
            >>> norm = MaskedBatchNorm2d(1, eps=0.0)
            >>> values = torch.tensor([1.0, 3.0, 9.0]).view(3, 1, 1, 1)
            >>> norm(values, torch.tensor([True, True, False])).flatten().tolist()
            [-1.0, 1.0, 7.0]
        """
        values = as_float32(values)
        mean, variance = self._statistics(values, valid) if self.training else (self.running_mean, self.running_var)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        offset = self.bias - mean * scale
        return values * scale.view(-1, 1, 1) + offset.view(-1, 1, 1)

    def _statistics(self, values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the valid entries, and move the running ones."""
        weight = valid.to(values.dtype).view(-1, 1, 1, 1)
        count = weight.sum() * values.shape[2] * values.shape[3]
        total = count.clamp(min=1)
        mean = (values * weight).sum((0, 2, 3)) / total
        variance = ((values - mean.view(-1, 1, 1)).square() * weight).sum((0, 2, 3)) / total
        with torch.no_grad():
            some = count > 0
            unbiased = variance * total / (total - 1).clamp(min=1)
            for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
                running.add_(torch.where(some, self.momentum * (new - running), 0.0))
            self.num_batches_tracked.add_(some)
        return torch.where(some, mean, self.running_mean), torch.where(some, variance, self.running_var)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'{self.num_features}, eps={self.eps}, momentum={self.momentum}'
