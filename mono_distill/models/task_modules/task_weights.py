"""Weights of the losses of several tasks that change during training, and the means they are computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import mean_over_ranks


class TaskWeights(nn.Module):
    """Multiplies losses by weights that somebody else sets, without waiting for the device.

    Weights are 1 until ``HTLHook`` sets them; it also turns ``recording`` on, which sums up the unweighted losses of
    every training step, averaged over all ranks. Nothing here is saved with the model: the hook keeps what a resumed
    run needs.

    Args:
        names: Names of the losses.

    Attributes:
        recording: Whether to sum up losses while training.
    """

    weights: Tensor
    sums: Tensor
    steps: Tensor

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.recording = False
        self.register_buffer('weights', torch.ones(len(self.names)), persistent=False)
        # float64: thousands of steps are added up.
        self.register_buffer('sums', torch.zeros(len(self.names), dtype=torch.float64), persistent=False)
        self.register_buffer('steps', torch.zeros((), dtype=torch.float64), persistent=False)

    def forward(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weight losses.

        Args:
            losses: 0-dim loss of every name.

        Returns:
            The weighted losses in the same order.

        Example:
            >>> task_weights = TaskWeights(['size', 'depth'])
            >>> task_weights.set({'depth': 0.5})
            >>> task_weights({'size': torch.tensor(3.0), 'depth': torch.tensor(4.0)})
            {'size': tensor(3.), 'depth': tensor(2.)}
        """
        if self.recording and self.training:
            self.sums += mean_over_ranks(torch.stack([losses[name] for name in self.names]))
            self.steps += 1
        weights = dict(zip(self.names, self.weights.unbind(), strict=True))
        return {name: value * weights[name] for name, value in losses.items()}

    def set(self, weights: Mapping[str, float]) -> None:
        """Set weights by name; names that are missing get 1."""
        self.weights.copy_(self.weights.new_tensor([weights.get(name, 1.0) for name in self.names]))

    def pop_means(self) -> dict[str, float] | None:
        """Return the means of the recorded losses, None if there are none, and start again."""
        # One copy to the host.
        *sums, steps = torch.cat([self.sums, self.steps.view(1)]).tolist()
        self.sums.zero_()
        self.steps.zero_()
        return {name: value / steps for name, value in zip(self.names, sums, strict=True)} if steps else None

    def extra_repr(self) -> str:
        """Show the names in ``repr``."""
        return ', '.join(self.names)
