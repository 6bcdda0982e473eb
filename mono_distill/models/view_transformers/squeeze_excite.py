"""Gating of a map's channels by a vector."""

from __future__ import annotations

from torch import Tensor, nn


class VectorMLP(nn.Module):
    """Two linear layers with a ReLU between them.

    Args:
        in_channels: Length of the vector.
        channels: Hidden and output length.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(in_channels, channels)
        self.act = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(channels, channels)

    def forward(self, vector: Tensor) -> Tensor:
        """Map ``(rows, in_channels)`` to ``(rows, channels)``."""
        out: Tensor = self.fc2(self.act(self.fc1(vector)))
        return out


class VectorGate(nn.Module):
    """Multiply each channel of a map with a number between 0 and 1 that depends on a vector (a squeeze-and-excitation
    layer whose squeezed input comes from outside).

    Args:
        channels: Channels of the map, and length of the vector.

    Example:
        >>> import torch
        >>> VectorGate(4)(torch.ones(2, 4, 3, 3), torch.zeros(2, 4)).shape
        torch.Size([2, 4, 3, 3])
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, channels, 1)
        self.act = nn.ReLU(inplace=True)
        self.conv_expand = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """Gate ``(B, channels, h, w)`` by ``(B, channels)``."""
        gate = self.conv_expand(self.act(self.conv_reduce(vector[..., None, None])))
        return x * gate.sigmoid()
