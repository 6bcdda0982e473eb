"""Checks a whole config before anything is built: types that exist, options that the types have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from mono_distill.distillers.build import check_options
from mono_distill.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    SCOPE,
    TASK_UTILS,
    TRANSFORMS,
    VISUALIZERS,
)
from mono_distill.utils.errors import ConfigError, did_you_mean

_REGISTRIES = (
    MODELS,
    DATASETS,
    TRANSFORMS,
    METRICS,
    HOOKS,
    LOOPS,
    OPTIM_WRAPPERS,
    DATA_SAMPLERS,
    TASK_UTILS,
    VISUALIZERS,
)
# Options that a distillation graph reads itself before it builds the node.
_GRAPH_OPTIONS = ('inputs', 'weight', 'schedule')
_GRAPH_GROUPS = ('adapters', 'targets', 'losses')
# Options that mmengine's Runner reads before it builds the part.
_RUNNER_OPTIONS = ('priority', 'constructor', 'paramwise_cfg')


def check_config(config: Config | Mapping[str, Any]) -> int:
    """Check every dictionary whose ``type`` starts with ``mono_distill.``.

    mmengine reports an unknown option only when it builds that part, often minutes into a run, and never says which
    one was meant.

    Args:
        config: A config.

    Returns:
        How many dictionaries were checked.

    Raises:
        ConfigError: A type of ours does not exist, or has no such option; the message gives the place in the config
            and the nearest name.
    """
    count = 0
    for where, options in _typed(config.to_dict() if isinstance(config, Config) else config, ''):
        kind = options['type']
        if not (isinstance(kind, str) and kind.startswith(f'{SCOPE}.')):
            continue
        name = kind.removeprefix(f'{SCOPE}.')
        check_options(_find(name, where), _own_options(options, where), where)
        count += 1
    return count


def _own_options(options: Mapping[str, Any], where: str) -> dict[str, Any]:
    group = where.split('.')[-2] if '.' in where else ''
    extra: tuple[str, ...] = _GRAPH_OPTIONS if group in _GRAPH_GROUPS else ()
    if where.startswith(('custom_hooks', 'default_hooks')):
        extra = _RUNNER_OPTIONS
    return {key: value for key, value in options.items() if key not in extra}


def _find(name: str, where: str) -> type:
    known: list[str] = []
    for registry in _REGISTRIES:
        found = registry.get(name)
        # The parents of our registries may know the name too; ours is meant.
        if name in registry.module_dict:
            return found
        known += list(registry.module_dict)
    raise ConfigError(f"{where}: no type '{SCOPE}.{name}'; {did_you_mean(name, known)}")


def _typed(node: Any, where: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(node, Mapping):
        if 'type' in node:
            yield where, node
        for key, value in node.items():
            yield from _typed(value, f'{where}.{key}' if where else str(key))
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _typed(value, f'{where}[{index}]')
