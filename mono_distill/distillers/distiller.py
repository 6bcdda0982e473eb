"""The one model wrapper of the package: a student that learns beside frozen teachers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mono_distill.distillers.build import build_part
from mono_distill.distillers.checkpoint_keys import install_key_mapping
from mono_distill.distillers.graph import DistillGraph
from mono_distill.distillers.preprocess import CrossModalPreprocessor
from mono_distill.distillers.taps import TapSet, parse_tap
from mono_distill.distillers.teachers import TeacherBank
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, did_you_mean


@MODELS.register_module()
class CrossModalDistiller(BaseModel):
    """Trains a student detector with additional losses against frozen teachers.

    In ``mode='loss'`` the student computes its own losses, unchanged; the teachers run without gradient on their own
    preprocessed copy of the batch; tapped values of both pass through adapters and targets into the distillation
    losses. In ``mode='predict'`` and ``'tensor'`` it *is* the student.

    Teachers are invisible to ``state_dict``, optimizer, EMA and DDP. A checkpoint holds the student under its own
    names and everything else under ``distill.``, so it resumes the distillation and loads into the plain student.

    Args:
        student: Model dictionary of the detector to train.
        teachers: Teacher name to :class:`~mono_distill.distillers.teachers.TeacherSpec` options.
        taps: Tap name to ``'<owner>:<module.path>[selector]'``; see :mod:`mono_distill.distillers.taps`.
        losses: See :class:`~mono_distill.distillers.graph.DistillGraph`.
        adapters: Trainable modules between student and teacher features, see there.
        targets: Parameter-free signals derived from the teachers, see there.
        data_preprocessor: Only for configs that keep the student's preprocessor beside ``model``; it goes to the
            student.
        init_cfg: As in mmengine.

    Raises:
        ConfigError: A name, type or option in the config does not exist or does not fit.
    """

    def __init__(
        self,
        student: Mapping[str, Any],
        teachers: Mapping[str, Mapping[str, Any]],
        *,
        taps: Mapping[str, Any],
        losses: Mapping[str, Mapping[str, Any]],
        adapters: Mapping[str, Mapping[str, Any]] | None = None,
        targets: Mapping[str, Mapping[str, Any]] | None = None,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        options = dict(student)
        if data_preprocessor is not None:
            options.setdefault('data_preprocessor', dict(data_preprocessor))
        model = build_part(MODELS, options, 'model.student')
        specs = {name: parse_tap(name, tap) for name, tap in taps.items()}
        if 'student' in teachers:
            raise ConfigError("model.teachers: 'student' is the name of the student; call the teacher otherwise")
        owners = ['student', *teachers]
        for name, spec in specs.items():
            if spec.owner not in owners:
                raise ConfigError(
                    f"model.taps.{name}: no model is called '{spec.owner}'; {did_you_mean(spec.owner, owners)}"
                )
        bank = TeacherBank(teachers, specs)
        super().__init__(CrossModalPreprocessor(model.data_preprocessor, bank), init_cfg)
        self.student = model
        self.bank = bank
        self.taps = TapSet('student', model, {name: spec for name, spec in specs.items() if spec.owner == 'student'})
        self.graph = DistillGraph(specs, losses, adapters, targets)
        self._progress_known = not self.graph.has_schedules
        self.data_preprocessor.teachers_run = not self.graph.finished
        install_key_mapping(self)

    def set_progress(self, epoch: float, iteration: int) -> None:
        """Tell the loss schedules where the training stands (``DistillScheduleHook`` does this every iteration)."""
        self._progress_known = True
        self.graph.set_progress(epoch, iteration)
        self.data_preprocessor.teachers_run = not self.graph.finished

    def forward(
        self,
        inputs: Any,
        data_samples: list[Any] | None = None,
        mode: str = 'tensor',
        teacher_inputs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Any:
        """Run the student; with ``mode='loss'`` also the teachers and the distillation losses.

        Args:
            inputs: The student's inputs, as its preprocessor returns them.
            data_samples: Its data samples.
            mode: ``'loss'``, ``'predict'`` or ``'tensor'``.
            teacher_inputs: Each teacher's inputs, from :class:`CrossModalPreprocessor`.

        Returns:
            ``mode='loss'``: the student's losses, ``loss_kd_<name>`` (weighted) and ``kd_<name>`` (raw) of every
            distillation loss, ``kd_ratio`` (share of distillation in the total) and ``teacher_ms``. Otherwise what
            the student returns.
        """
        if mode != 'loss':
            return self.student(inputs, data_samples, mode=mode)
        if not self._progress_known:
            raise ConfigError(
                'a loss has a schedule, but nothing tells the model how far the training is: '
                "add dict(type='mono_distill.DistillScheduleHook') to custom_hooks"
            )
        if self.graph.finished:
            self.graph.guard.flush()
            losses: dict[str, Any] = self.student(inputs, data_samples, mode='loss')
            return {**losses, 'loss_kd_idle': self.graph.idle()}
        if teacher_inputs is None:
            raise ConfigError(
                "mode='loss' needs teacher_inputs: pass the batch through model.data_preprocessor(…, True)"
            )
        values = self.bank.run(teacher_inputs)
        self.taps.start()
        try:
            losses = self.student(inputs, data_samples, mode='loss')
            values.update(self.taps.collect())
        finally:
            self.taps.stop()
        distilled = self.graph({**values, 'data_samples': data_samples})
        return {**losses, **distilled, **self._statistics(losses, distilled)}

    def _statistics(self, own: Mapping[str, Any], distilled: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what the log shows beside the losses; no key holds 'loss', so mmengine does not sum it."""
        kd = sum(value.detach() for key, value in distilled.items() if key.startswith('loss_'))
        student = sum(
            part.detach().mean()
            for key, value in own.items()
            if 'loss' in key
            for part in (value if isinstance(value, (list, tuple)) else [value])
        )
        return {
            'kd_ratio': torch.as_tensor(kd / (kd + student).abs().clamp(min=1e-12)),
            'teacher_ms': torch.tensor(self.bank.stopwatch.milliseconds),
        }

    def init_weights(self) -> None:
        """Initialise student and adapters, and load the teachers, so that a wrong checkpoint fails before training."""
        super().init_weights()
        self.bank.load()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CrossModalDistiller:
        super()._apply(fn, recurse)
        self.bank.apply(fn, recurse)
        return self

    def _set_device(self, device: torch.device) -> None:
        super()._set_device(device)
        self.bank.set_device(device)
