"""From a run of a study to the config that trains it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mono_distill.apis import launch
from mono_distill.apis.paired_study.study import WORK, Study, Training
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.distillers.build import is_distiller
from mono_distill.distillers.value_refs import parse_ref
from mono_distill.utils.errors import ConfigError, did_you_mean

# Hooks that make sense with a distiller alone. The teacher's lead is a result of the study; no run measures it anew.
_CHECKS = ('TeacherCheckHook',)
_OF_DISTILLERS = ('DistillScheduleHook', 'BEVGridCheckHook', *_CHECKS)


def config_of(run: Run, study: Study, folders: Folders) -> Config:
    """Return the complete config of a run; ``mono-distill train`` takes it as it is.

    Raises:
        ConfigError: The config has no such loss, teacher or option.
    """
    training = study.trainings[run.arm]
    options = _placed({**study.options, **training.options}, folders.work)
    config = launch.load_config(training.config, options, str(folders.run(run)))
    _drop_hooks(config, _OF_DISTILLERS if training.plain else _CHECKS)
    if training.plain:
        config = launch.plain_student(config)
        if config.model.get('supervised') is False:
            raise ConfigError(
                f'{run.id}: this student sees no labels (supervised=False), so alone it has nothing to learn from; add '
                "options={'model.student.supervised': True}, or name the student's own config"
            )
    if training.losses is not None:
        if not is_distiller(config.model):
            raise ConfigError(f'{run.id}: losses names distillation losses, and {training.config} is no distillation')
        keep_losses(config.model, training.losses)
    config.load_from = None
    for name, other in training.teachers.items():
        _teacher(config, name).checkpoint = str(folders.checkpoint(study.run(other, run.seed)))
    if training.start is not None:
        config.load_from = str(folders.checkpoint(study.run(training.start, run.seed)))
    _check_complete(config, run, training)
    # It is tested in the end, and nothing is chosen by a validation.
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.log_level = 'WARNING'
    config.randomness = dict(seed=run.seed)
    return config


def keep_losses(model: Any, names: Iterable[str]) -> None:
    """Remove all distillation losses but some, and the adapters, targets, taps and teachers that then feed nothing.

    Args:
        model: A distiller's config; changed in place.
        names: The losses to keep.

    Raises:
        ConfigError: There is no such loss.

    Example:
        >>> model = Config(dict(
        ...     taps=dict(s='student:neck', t='lidar:neck', h='student:head'),
        ...     adapters=dict(a=dict(inputs='s')),
        ...     losses=dict(one=dict(inputs=dict(student='a', teacher='t')), two=dict(inputs=dict(student='h'))),
        ... ))
        >>> keep_losses(model, ['one'])
        >>> list(model.taps), list(model.adapters), list(model.losses)
        (['s', 't'], ['a'], ['one'])
    """
    for name in names:
        if name not in model.losses:
            raise ConfigError(f'model.losses has no {name!r}; {did_you_mean(name, model.losses)}')
    nodes = {
        **model.get('adapters', {}),
        **model.get('targets', {}),
        **{name: model.losses[name] for name in names},
    }
    needed, waiting = set(names), list(names)
    while waiting:
        name = waiting.pop()
        for other in _inputs(nodes[name], name):
            if other not in needed:
                needed.add(other)
                if other in nodes:
                    waiting.append(other)
    for kind in ('taps', 'adapters', 'targets', 'losses'):
        for name in [name for name in model.get(kind, {}) if name not in needed]:
            del model[kind][name]
    used = {str(tap).split(':')[0] for tap in model.get('taps', {}).values()}
    for name in [name for name in model.get('teachers', {}) if name not in used]:
        del model.teachers[name]


def _inputs(node: Any, name: str) -> list[str]:
    inputs = node.inputs
    entries = [inputs] if isinstance(inputs, str) else inputs.values() if hasattr(inputs, 'values') else inputs
    return [parse_ref(text, name).name for text in entries]


def _placed(value: Any, work: Path) -> Any:
    """Put the work folder in its place in every text of a nested value."""
    if isinstance(value, dict):
        return {key: _placed(entry, work) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_placed(entry, work) for entry in value)
    return value.replace(WORK, str(work)) if isinstance(value, str) else value


def _drop_hooks(config: Config, kinds: tuple[str, ...]) -> None:
    hooks = config.get('custom_hooks') or []
    config.custom_hooks = [hook for hook in hooks if not str(hook['type']).endswith(kinds)]


def _teacher(config: Config, name: str) -> Any:
    teachers = config.model.get('teachers', {}) if is_distiller(config.model) else {}
    if name not in teachers:
        raise ConfigError(
            f'the config has no teacher {name!r}, or none of the kept losses needs it; {did_you_mean(name, teachers)}'
        )
    return teachers[name]


def _check_complete(config: Config, run: Run, training: Training) -> None:
    """A teacher without weights of this study would take those of some other training that lies about."""
    if not is_distiller(config.model):
        return
    missing = set(config.model.get('teachers', {})) - set(training.teachers)
    if missing:
        raise ConfigError(
            f'{run.id}: its teachers {sorted(missing)} have no training in this study; name them in `teachers`'
        )
