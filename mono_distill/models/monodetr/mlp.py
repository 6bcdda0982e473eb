"""Fully connected branches of MonoDETR's head."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU in between.

    Args:
        in_channels: Channels of the input.
        hidden_channels: Channels between the layers.
        out_channels: Channels of the output.
        num_layers: Number of linear layers.

    Example:
        >>> import torch
        >>> MLP(8, 16, 6, num_layers=3)(torch.zeros(2, 50, 8)).shape
        torch.Size([2, 50, 6])
    """

    def __init__(self, in_channels: int, hidden_channels: int, out_channels: int, *, num_layers: int) -> None:
        super().__init__()
        widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """Map the last dimension."""
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        out: Tensor = self.layers[-1](x)
        return out
