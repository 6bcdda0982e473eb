"""The config that goes with published weights: one detector, how to feed and test it, nothing of its training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mono_distill.apis.launch import drop_pretrained, plain_student
from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.config_text import parse_config_text
from mono_distill.utils.errors import CheckpointError, ConfigError

_KEPT = (
    'default_scope',
    'custom_imports',
    'model',
    'test_dataloader',
    'test_evaluator',
    'test_cfg',
    'env_cfg',
    'visualizer',
    'log_processor',
    'log_level',
)
# First words of the files that write_config writes.
_WRITTEN = '# Config of '
# They belong to a training, and fail or do nothing without it.
_TRAINING_HOOKS = ('TeacherCheckHook', 'DistillScheduleHook', 'HTLHook', 'EMAHook')


def plain_config(config: Config) -> Config:
    """Reduce a config to what testing and inference need; a distillation is reduced to its student.

    Weights that the backbone would fetch to start a training are left out (``pretrained``, ``init_cfg``).

    Args:
        config: A detector's or a distillation's config; it is not changed.

    Raises:
        ConfigError: It has no model.
    """
    if config.get('model') is None:
        raise ConfigError(f'the config {config.filename or ""} has no model'.replace('  ', ' '))
    student = plain_student(copy.deepcopy(config))
    drop_pretrained(student.model)
    plain = {key: student[key] for key in _KEPT if student.get(key) is not None}
    hooks = [hook for hook in student.get('custom_hooks') or [] if not str(hook['type']).endswith(_TRAINING_HOOKS)]
    if hooks:
        plain['custom_hooks'] = hooks
    return Config(ConfigDict(plain))


def build_detector(config: Config) -> nn.Module:
    """Build the model of a plain config, with random weights."""
    init_default_scope(config.get('default_scope', 'mmdet3d'))
    model: nn.Module = MODELS.build(config.model)
    return model


def config_meta(config: Config) -> dict[str, Any]:
    """Return what mmengine's and mmdet3d's loaders read from a checkpoint's ``meta``: ``cfg`` and ``dataset_meta``."""
    meta: dict[str, Any] = {'cfg': config.pretty_text}
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is not None:
        meta['dataset_meta'] = {'classes': list(classes)}
    return meta


def write_config(config: Config, weights: Path) -> Path:
    """Write a plain config beside its weights, as ``<name>_config.py``, for tools that want a file."""
    path = _config_file(weights)
    with atomic_path(path) as temporary:
        temporary.write_text(f'{_WRITTEN}{weights.name}.\n{config.pretty_text}', encoding='utf-8')
    return path


def check_config_file(weights: Path, given: str) -> None:
    """Refuse a name whose config would replace the one that was given, unless that was written here before.

    Raises:
        ConfigError: The given config would be lost.
    """
    path = _config_file(weights)
    if path.is_file() and path.resolve() == Path(given).resolve() and not path.read_text().startswith(_WRITTEN):
        raise ConfigError(f'--out {weights}: its config would replace {given}; name another file')


def _config_file(weights: Path) -> Path:
    return weights.with_name(f'{weights.stem}_config.py')


def read_config(checkpoint: str | Path) -> Config:
    """Return the config that a converted or exported checkpoint carries; nothing in the file is run.

    Args:
        checkpoint: ``.pth`` or ``.safetensors``.

    Raises:
        CheckpointError: It carries none.
        ConfigError: It carries one that is no list of plain values.
    """
    text = (load_checkpoint_file(checkpoint).get('meta') or {}).get('cfg')
    if not isinstance(text, str):
        raise CheckpointError(
            f"{checkpoint} carries no config (meta['cfg']); give the config it was trained with as well"
        )
    return Config(ConfigDict(parse_config_text(text)))
