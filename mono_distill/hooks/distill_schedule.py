"""Keeps scheduled distillation weights in step with the training."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mono_distill.registry import HOOKS


@HOOKS.register_module()
class DistillScheduleHook(Hook):
    """Tells a :class:`~mono_distill.distillers.CrossModalDistiller` before every iteration how far the training is.

    The weights follow from the iteration number alone, so a resumed run continues exactly where it was. Models without
    ``set_progress`` are left alone. Before a checkpoint is written, the check for NaN that runs a step behind on a GPU
    is brought up to date.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Set the progress: epochs done as a fraction, and iterations done."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'set_progress'):
            model.set_progress(runner.iter / len(runner.train_dataloader), runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Refuse to save weights after a step whose losses were not finite."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'graph'):
            model.graph.guard.flush()
