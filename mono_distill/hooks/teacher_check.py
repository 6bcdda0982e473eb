"""Refuses to distil from a teacher or an assistant that is no better than the student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, autocast

from mono_distill.registry import HOOKS
from mono_distill.utils.errors import ConfigError, did_you_mean

Option = TypeVar('Option', str, float)


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Evaluates every teacher and the student on the validation data before training starts.

    A teacher trained on other data, with another input normalisation or for too short a time distils noise, and the
    only sign is a student that does not improve. This asks first. An assistant (MonoTAKD) is one of the teachers; each
    option may be a dictionary from teacher to value, to hold it to a measure of its own.

    Args:
        metric: Name of the metric in the validation results; higher is better.
        margin: By how much a teacher must be ahead.
        on_failure: ``'raise'`` or ``'warn'``.

    Raises:
        ConfigError: A teacher is not ahead, the metric does not exist, or there is no validation data; all teachers are
            evaluated before the first is refused. Or a dictionary does not name the distiller's teachers.
    """

    def __init__(
        self,
        metric: str | Mapping[str, str],
        margin: float | Mapping[str, float] = 0.0,
        on_failure: str | Mapping[str, str] = 'raise',
    ) -> None:
        for choice in on_failure.values() if isinstance(on_failure, Mapping) else [on_failure]:
            if choice not in ('raise', 'warn'):
                raise ConfigError(f"TeacherCheckHook.on_failure must be 'raise' or 'warn', not '{choice}'")
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
        teachers = model.bank.teachers
        metrics = _per_teacher(self.metric, teachers, 'metric')
        margins = _per_teacher(self.margin, teachers, 'margin')
        actions = _per_teacher(self.on_failure, teachers, 'on_failure')
        model.bank.load()
        students = self._scores(runner, model.student)
        refused = []
        for name, teacher in teachers.items():
            metric, margin = metrics[name], margins[name]
            student = _score(students, metric)
            score = _score(self._scores(runner, teacher.model, teacher), metric)
            runner.logger.info(f'{metric}: teacher {name} {score:.2f}, student before distillation {student:.2f}')
            if score > student + margin:
                continue
            message = (
                f'teacher {name} is no better than the student before distillation: {metric} {score:.2f} against '
                f'{student:.2f} (margin {margin}). Check its checkpoint, its input and its training; '
                "on_failure='warn' goes on regardless"
            )
            if actions[name] == 'raise':
                refused.append(message)
            else:
                runner.logger.warning(message)
        if refused:
            raise ConfigError('\n'.join(refused))

    @torch.no_grad()
    def _scores(self, runner: Runner, model: Any, teacher: Any = None) -> Mapping[str, Any]:
        """Return the metrics of a detector on the validation set."""
        loop = runner.val_loop
        was_training = model.training
        model.eval()
        for batch in loop.dataloader:
            data = teacher.preprocess(batch) if teacher is not None else model.data_preprocessor(batch, False)
            with autocast(enabled=getattr(loop, 'fp16', False)):
                outputs = model(data['inputs'], data['data_samples'], mode='predict')
            loop.evaluator.process(data_samples=outputs, data_batch=batch)
        metrics: Mapping[str, Any] = loop.evaluator.evaluate(len(loop.dataloader.dataset))
        model.train(was_training)
        return metrics


def _score(metrics: Mapping[str, Any], name: str) -> float:
    if name not in metrics:
        raise ConfigError(f"TeacherCheckHook: no metric '{name}'; {did_you_mean(name, metrics)}")
    return float(metrics[name])


def _per_teacher(option: Option | Mapping[str, Option], teachers: Mapping[str, Any], key: str) -> Mapping[str, Option]:
    """Spread an option over the teachers, or check that it names each of them."""
    if not isinstance(option, Mapping):
        return dict.fromkeys(teachers, option)
    if set(option) != set(teachers):
        raise ConfigError(
            f'TeacherCheckHook.{key} is for {", ".join(option)}, but the teachers are {", ".join(teachers)}; name each'
        )
    return option
