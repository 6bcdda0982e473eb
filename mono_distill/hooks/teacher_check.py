"""Refuses to distil from a teacher that is no better than the student."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, autocast

from mono_distill.registry import HOOKS
from mono_distill.utils.errors import ConfigError, did_you_mean


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Evaluates every teacher and the student on the validation data before training starts.

    A teacher trained on other data, with another input normalisation or for too short a time distils noise, and the
    only sign is a student that does not improve. This asks first.

    Args:
        metric: Name of the metric in the validation results; higher is better.
        margin: By how much a teacher must be ahead.
        on_failure: ``'raise'`` or ``'warn'``.

    Raises:
        ConfigError: A teacher is not ahead, the metric does not exist, or there is no validation data.
    """

    def __init__(self, metric: str, margin: float = 0.0, on_failure: str = 'raise') -> None:
        if on_failure not in ('raise', 'warn'):
            raise ConfigError(f"TeacherCheckHook.on_failure must be 'raise' or 'warn', not '{on_failure}'")
        self.metric = metric
        self.margin = margin
        self.on_failure = on_failure

    def before_train(self, runner: Runner) -> None:
        """Compare, unless a run is being resumed (it was checked when it began)."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if runner.iter > 0 or not hasattr(model, 'bank'):
            return
        if runner.val_loop is None:
            raise ConfigError('TeacherCheckHook needs val_dataloader and val_evaluator; remove the hook or add them')
        model.bank.load()
        student = self._score(runner, model.student)
        for name, teacher in model.bank.teachers.items():
            score = self._score(runner, teacher.model, teacher)
            runner.logger.info(f'{self.metric}: teacher {name} {score:.2f}, student before distillation {student:.2f}')
            if score > student + self.margin:
                continue
            message = (
                f'teacher {name} is no better than the student before distillation: {self.metric} {score:.2f} against '
                f'{student:.2f} (margin {self.margin}). Check its checkpoint, its input and its training; '
                "on_failure='warn' goes on regardless"
            )
            if self.on_failure == 'raise':
                raise ConfigError(message)
            runner.logger.warning(message)

    @torch.no_grad()
    def _score(self, runner: Runner, model: Any, teacher: Any = None) -> float:
        """Return the metric of a detector on the validation set."""
        loop = runner.val_loop
        was_training = model.training
        model.eval()
        for batch in loop.dataloader:
            data = teacher.preprocess(batch) if teacher is not None else model.data_preprocessor(batch, False)
            with autocast(enabled=getattr(loop, 'fp16', False)):
                outputs = model(data['inputs'], data['data_samples'], mode='predict')
            loop.evaluator.process(data_samples=outputs, data_batch=batch)
        metrics = loop.evaluator.evaluate(len(loop.dataloader.dataset))
        model.train(was_training)
        if self.metric not in metrics:
            raise ConfigError(f"TeacherCheckHook: no metric '{self.metric}'; {did_you_mean(self.metric, metrics)}")
        return float(metrics[self.metric])
