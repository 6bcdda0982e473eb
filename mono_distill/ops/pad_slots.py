"""Objects of several samples in one padded tensor."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def pad_slots(values: Sequence[Tensor], padding: float) -> Tensor:
    """Stack per-object tensors of several samples into (B, N, ...), N >= 1.

    One slot at least: a batch without objects then needs no special case in gathers, losses and their gradients.

    Args:
        values: One tensor (n, ...) per sample, n objects each.
        padding: What empty slots hold.

    Example:
        >>> import torch
        >>> pad_slots([torch.tensor([1.0, 2.0]), torch.tensor([])], 0.0)
        tensor([[1., 2.],
                [0., 0.]])
        >>> pad_slots([torch.zeros(0, 4)], 0.0).shape
        torch.Size([1, 1, 4])
    """
    stacked = pad_sequence(list(values), batch_first=True, padding_value=padding)
    if stacked.shape[1]:
        return stacked
    return stacked.new_full((len(values), 1, *stacked.shape[2:]), padding)
