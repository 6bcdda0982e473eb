"""Stop when a distillation loss becomes NaN or infinite, and say which one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mono_distill.utils.errors import NonFiniteError


class NonFiniteGuard:
    """Checks losses without making the GPU wait.

    On the CPU a bad value raises at once. On a GPU the verdict is copied to the host in the background and read at the
    next step or before a checkpoint is written (:meth:`flush`), so training stops one step late, but no step waits for
    it and no bad weights are saved.
    """

    def __init__(self) -> None:
        self._pending: tuple[Tensor, torch.cuda.Event, list[str], str] | None = None

    def check(self, values: Mapping[str, Tensor], describe: Callable[[], str]) -> None:
        """Check the losses of this step (and, off the CPU, report those of the last).

        Args:
            values: Loss name to 0-dim tensor.
            describe: Gives the shapes of the inputs and the ids of the samples, for the message; on the CPU it is
                called only when needed.

        Raises:
            NonFiniteError: A value is NaN or infinite.
        """
        self.flush()
        if not values:
            return
        finite = torch.isfinite(torch.stack([value.detach() for value in values.values()]))
        names = list(values)
        if finite.device.type != 'cuda':
            if not bool(finite.all()):
                _raise(finite, names, describe())
            return
        host = torch.empty(finite.shape, dtype=finite.dtype, pin_memory=True)
        host.copy_(finite, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._pending = (host, event, names, describe())

    def flush(self) -> None:
        """Report the last step, if its verdict is still outstanding.

        Raises:
            NonFiniteError: A value of that step was NaN or infinite.
        """
        if self._pending is None:
            return
        host, event, names, description = self._pending
        self._pending = None
        # A whole training step lies between record and here: this does not wait.
        event.synchronize()
        if not bool(host.all()):
            _raise(host, names, description)


def _raise(finite: Tensor, names: list[str], description: str) -> None:
    bad = [name for name, fine in zip(names, finite.tolist(), strict=True) if not fine]
    raise NonFiniteError(
        f'distillation loss {", ".join(bad)} is not finite. {description} '
        'Look at these samples, lower the loss weight or the learning rate, or clip gradients '
        '(optim_wrapper.clip_grad); the last checkpoint is untouched.'
    )
