"""The linear layer of the samplers, by which a student gets its teacher's number of channels."""

from __future__ import annotations

from torch import Tensor, nn

from mono_distill.utils.errors import ShapeError


def project_samples(sampled: Tensor, linear: nn.Linear | None, *, owner: str) -> Tensor:
    """Send the features of points through a layer, if there is one.

    Args:
        sampled: (..., C), C channels of every point.
        linear: The layer of the option ``project``; ``None``: the features are returned as they are.
        owner: Who asks, for the message.

    Raises:
        ShapeError: The layer begins with another number of channels.

    Example:
        >>> import torch
        >>> project_samples(torch.zeros(1, 5, 3), nn.Linear(3, 2), owner='BEVQuerySampler').shape
        torch.Size([1, 5, 2])
    """
    if linear is None:
        return sampled
    if sampled.shape[-1] != linear.in_features:
        raise ShapeError(
            f'{owner}: the map has {sampled.shape[-1]} channels, but project begins with {linear.in_features}.'
        )
    projected: Tensor = linear(sampled)
    return projected
