"""Random state in checkpoints, so that a resumed run draws what the uninterrupted one would have drawn."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mono_distill.registry import HOOKS

KEY = 'random_state'


@HOOKS.register_module()
class RandomStateHook(Hook):
    """Saves and restores the generators of torch (CPU and CUDA), numpy and Python.

    Together with :class:`~mono_distill.hooks.ResumableEpochLoop`, which makes the data order and the augmentation a
    function of seed, epoch and index, a resumed run on the CPU ends with the same weights, to the bit. Only the main
    process writes checkpoints, so other ranks resume with its state.

    Validation draws numbers too (a data loader takes a seed); they are given back after it, because a run resumed
    from the checkpoint written before it does not repeat it.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._pending: dict[str, Any] | None = None
        self._before_val: dict[str, Any] | None = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Put the state into the checkpoint, as tensors and numbers that load safely."""
        # Inside a validation (a hook saves the best checkpoint there) the state is the one from before it.
        checkpoint[KEY] = random_state() if self._before_val is None else self._before_val

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember the state; it is set when the first iteration starts, after the set-up has drawn its numbers."""
        if runner._resume:
            self._pending = checkpoint.get(KEY)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the remembered state once."""
        if self._pending is not None:
            set_random_state(self._pending)
            self._pending = None

    def before_val(self, runner: Runner) -> None:
        """Remember the state before a validation."""
        self._before_val = random_state()

    def after_val(self, runner: Runner) -> None:
        """Give it back."""
        if self._before_val is not None:
            set_random_state(self._before_val)
            self._before_val = None


def random_state() -> dict[str, Any]:
    """Return the state of all generators of this process."""
    _, keys, position, has_gauss, cached = np.random.get_state()
    return {
        'torch': torch.get_rng_state(),
        'cuda': torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        'numpy': [torch.from_numpy(np.asarray(keys).astype(np.int64)), int(position), int(has_gauss), float(cached)],
        'python': random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set what :func:`random_state` returned."""
    # A checkpoint loaded onto a GPU has moved the byte tensors there; generators take them from the host.
    torch.set_rng_state(state['torch'].cpu())
    if state['cuda'] and len(state['cuda']) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([part.cpu() for part in state['cuda']])
    keys, position, has_gauss, cached = state['numpy']
    np.random.set_state(('MT19937', keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
