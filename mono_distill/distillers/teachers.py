"""Frozen teachers, kept out of the student's module tree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any

import torch
from mmengine.logging import MMLogger
from mmengine.model.base_model.data_preprocessor import BaseDataPreprocessor
from torch import Tensor

from mono_distill.distillers.build import build_part, is_distiller, resolve_config, student_of
from mono_distill.distillers.forward_fns import run_detector
from mono_distill.distillers.stopwatch import Stopwatch
from mono_distill.distillers.taps import TapSet, TapSpec
from mono_distill.distillers.weights import load_teacher_weights
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, did_you_mean

_AMP = {'fp16': torch.float16, 'bf16': torch.bfloat16}


@dataclass(frozen=True)
class TeacherSpec:
    """One entry of a config's ``teachers``.

    Attributes:
        config: A config file (path or ``package::path``) whose ``model`` is the teacher. If that model is itself a
            distiller, its student is taken.
        detector: The teacher's model dictionary, instead of ``config``.
        checkpoint: Its weights: a file, a work directory (its last checkpoint is taken), or a URL.
        inputs: Renames raw batch inputs for its preprocessor, ``{wanted: available}``.
        forward: How it is run: see :func:`mono_distill.distillers.forward_fns.run_detector`.
        amp: ``'inherit'`` the training's autocast, or ``'off'``, ``'fp16'``, ``'bf16'``.
        train_mode: Run batch normalisation on batch statistics, as MonoDistill's and MonoSKD's released training did.
        allow_random: Accept a teacher without a checkpoint.
        strict: Whether every parameter must be found in the checkpoint.
    """

    config: str | None = None
    detector: Mapping[str, Any] | None = None
    checkpoint: str | None = None
    inputs: Mapping[str, str] | None = None
    forward: str = 'auto'
    amp: str = 'inherit'
    train_mode: bool = False
    allow_random: bool = False
    strict: bool = True

    @classmethod
    def read(cls, name: str, options: Mapping[str, Any]) -> TeacherSpec:
        """Check a config dictionary and make a spec of it."""
        known = [field.name for field in fields(cls)]
        for key in options:
            if key not in known:
                raise ConfigError(f"model.teachers.{name}: no option '{key}'; {did_you_mean(key, known)}")
        spec = cls(**options)
        if (spec.config is None) == (spec.detector is None):
            raise ConfigError(
                f"model.teachers.{name}: give either 'config' (a file) or 'detector' (a model dictionary)"
            )
        if spec.amp not in ('inherit', 'off', *_AMP):
            raise ConfigError(f"model.teachers.{name}: amp must be inherit, off, fp16 or bf16, not '{spec.amp}'")
        return spec

    def model_config(self) -> dict[str, Any]:
        """Return the teacher's model dictionary."""
        if self.detector is not None:
            return dict(self.detector)
        config = resolve_config(str(self.config))
        model = dict(config.model)
        if is_distiller(model):
            model = student_of(model)
        if config.get('default_scope'):
            model.setdefault('_scope_', config.default_scope)
        return model


class Teacher:
    """A frozen detector with its own preprocessor and taps.

    Args:
        name: Its name in the config.
        spec: What to build and how to run it.
        taps: Its taps by name.
    """

    def __init__(self, name: str, spec: TeacherSpec, taps: Mapping[str, TapSpec]) -> None:
        self.name = name
        self.spec = spec
        self.model: Any = build_part(MODELS, spec.model_config(), f'model.teachers.{name}')
        self.model.requires_grad_(False)
        self.taps = TapSet(name, self.model, taps)
        self._tapped = [tap.path for tap in taps.values()]
        self._loaded = False

    def load(self) -> None:
        """Load the checkpoint once.

        Raises:
            ConfigError: There is no checkpoint and a random teacher was not asked for.
            CheckpointError: The checkpoint is missing, broken, or of another architecture.
        """
        if self._loaded:
            return
        if self.spec.checkpoint is not None:
            load_teacher_weights(self.model, self.spec.checkpoint, self.name, strict=self.spec.strict)
        elif not self.spec.allow_random:
            raise ConfigError(
                f'model.teachers.{self.name}: no checkpoint. Train the teacher ({self.spec.config or "its config"}) '
                f'and set model.teachers.{self.name}.checkpoint (on the command line: --cfg-options '
                f'model.teachers.{self.name}.checkpoint=FILE), or set allow_random=True to distil from noise'
            )
        else:
            MMLogger.get_current_instance().warning(f'teacher {self.name} has random weights (allow_random=True)')
        self._loaded = True

    def preprocess(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Run the teacher's preprocessor on a shallow copy of the raw batch.

        Args:
            data: ``dict(inputs=…, data_samples=…)`` as the data loader collated it.

        Raises:
            ConfigError: A renamed input is not in the batch.
        """
        if not isinstance(data.get('inputs'), Mapping):
            raise ConfigError(f'teacher {self.name}: the batch has no dictionary of inputs; pack named inputs (img, …)')
        inputs = dict(data['inputs'])
        for wanted, available in (self.spec.inputs or {}).items():
            if available not in data['inputs']:
                raise ConfigError(
                    f"teacher {self.name}: the batch has no input '{available}' (it has {', '.join(data['inputs'])}); "
                    'add the transform that loads it to the training pipeline '
                    '(depth maps: mono_distill.LoadDepthMap, points: LoadPointsFromFile)'
                )
            inputs[wanted] = data['inputs'][available]
        copy: dict[str, Any] = {**data, 'inputs': inputs}
        if data.get('data_samples') is not None:
            # Preprocessors of mmdet3d write meta information into the samples: each model gets its own.
            copy['data_samples'] = [sample.new() for sample in data['data_samples']]
        prepared: dict[str, Any] = self.model.data_preprocessor(copy, False)
        return prepared

    def run(self, inputs: Any, data_samples: list[Any]) -> dict[str, Any]:
        """Return the teacher's tapped values, detached."""
        self.load()
        self.model.train(self.spec.train_mode)
        self.taps.start()
        try:
            with torch.no_grad(), self._autocast():
                run_detector(self.model, inputs, data_samples, self._tapped, self.spec.forward)
            return {name: detach(value) for name, value in self.taps.collect().items()}
        finally:
            self.taps.stop()

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.spec.amp == 'inherit':
            return contextlib.nullcontext()
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, enabled=self.spec.amp != 'off', dtype=_AMP.get(self.spec.amp))


class TeacherBank:
    """All teachers of a distiller: a plain object, invisible to ``state_dict``, optimizers, EMA, DDP and ``train()``.

    A copy of a model (EMA deep-copies it) shares the bank, so teachers are never duplicated. Device and dtype moves
    are passed on by the distiller's ``_apply``.

    Args:
        specs: Teacher name to config dictionary.
        taps: All taps; each teacher takes its own.
    """

    def __init__(self, specs: Mapping[str, Mapping[str, Any]], taps: Mapping[str, TapSpec]) -> None:
        self.teachers: dict[str, Teacher] = {}
        for name, options in specs.items():
            own = {tap: spec for tap, spec in taps.items() if spec.owner == name}
            self.teachers[name] = Teacher(name, TeacherSpec.read(name, options), own)
        self.stopwatch = Stopwatch()

    def __deepcopy__(self, memo: dict[int, Any]) -> TeacherBank:
        return self

    def load(self) -> None:
        """Load every checkpoint that is not loaded yet."""
        for teacher in self.teachers.values():
            teacher.load()

    def preprocess(self, data: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return each teacher's inputs by name."""
        return {name: teacher.preprocess(data) for name, teacher in self.teachers.items()}

    def run(self, prepared: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Run every teacher on what :meth:`preprocess` returned and return all tapped values by tap name."""
        values: dict[str, Any] = {}
        device = next((p.device for t in self.teachers.values() for p in t.model.parameters()), torch.device('cpu'))
        self.stopwatch.start(device)
        for name, teacher in self.teachers.items():
            values.update(teacher.run(prepared[name]['inputs'], prepared[name]['data_samples']))
        self.stopwatch.stop(device)
        return values

    def apply(self, function: Callable[[Tensor], Tensor], recurse: bool = True) -> None:
        """Pass on ``nn.Module._apply`` (``.to``, ``.cuda``, ``.double`` …)."""
        for teacher in self.teachers.values():
            teacher.model._apply(function, recurse)

    def set_device(self, device: torch.device) -> None:
        """Tell the teachers' preprocessors where to put their batches."""
        for teacher in self.teachers.values():
            for module in teacher.model.modules():
                if isinstance(module, BaseDataPreprocessor):
                    module._device = device


def detach(value: Any) -> Any:
    """Detach every tensor of a nested value."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {key: detach(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(detach(item) for item in value) if not hasattr(value, '_fields') else value
    return value
