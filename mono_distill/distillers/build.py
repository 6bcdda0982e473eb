"""Building parts from config dictionaries with errors that point at the mistake."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from mono_distill.registry import SCOPE
from mono_distill.utils.errors import ConfigError, did_you_mean

# Keys that mmengine itself adds to or takes from any typed dictionary.
_RESERVED = {'type', '_scope_', '_delete_'}


def check_options(cls: type, options: Mapping[str, Any], where: str) -> None:
    """Refuse options that ``cls`` does not have.

    Args:
        cls: The class about to be built.
        options: Its config dictionary.
        where: Dotted path of the dictionary in the config, for the message.

    Raises:
        ConfigError: An option is unknown; the message suggests the nearest one.

    Example:
        >>> class Loss:
        ...     def __init__(self, form='rank'): ...
        >>> check_options(Loss, dict(from_='rank'), 'model.losses.spearman')
        Traceback (most recent call last):
        mono_distill.utils.errors.ConfigError: model.losses.spearman: Loss has no option 'from_'; did you mean ...
    """
    parameters = inspect.signature(cls).parameters.values()
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for key in options:
        if key not in known and key not in _RESERVED:
            raise ConfigError(f"{where}: {cls.__name__} has no option '{key}'; {did_you_mean(key, known)}")


def build_part(registry: Registry, options: Mapping[str, Any], where: str) -> Any:
    """Build one object from its config dictionary.

    Args:
        registry: Where its ``type`` is looked up.
        options: Config dictionary with a ``type``.
        where: Dotted path in the config, for messages.

    Raises:
        ConfigError: ``type`` is missing or unknown, or one of our classes does not have an option.
    """
    if 'type' not in options:
        raise ConfigError(f"{where}: has no 'type'; it is {dict(options)!r}")
    kind = options['type']
    with registry.switch_scope_and_registry(options.get('_scope_')) as scoped:
        cls = scoped.get(kind) if isinstance(kind, str) else kind
    if cls is None:
        names = [f'{SCOPE}.{name}' for name in registry.module_dict]
        raise ConfigError(f"{where}: no type '{kind}' is registered; {did_you_mean(str(kind), names)}")
    if isinstance(kind, str) and kind.startswith(f'{SCOPE}.'):
        check_options(cls, options, where)
    return registry.build(dict(options))


def resolve_config(path: str) -> Config:
    """Load a config named by a file path, or as ``package::path`` (``mono_distill::teachers/monodle_depth_kitti.py``).

    Args:
        path: A path relative to the current folder, an absolute one, or ``package::path``.

    Raises:
        ConfigError: There is no such config.
    """
    if '::' not in path:
        if not Path(path).is_file():
            raise ConfigError(
                f"config '{path}' does not exist (current folder: {Path.cwd()}); give an absolute path, or "
                f"'{SCOPE}::…' for one that ships with the package"
            )
        return Config.fromfile(path)
    package, name = path.split('::', 1)
    roots = config_roots(package)
    for root in roots:
        if (root / name).is_file():
            return Config.fromfile(root / name)
    places = ', '.join(str(root) for root in roots) or f'package {package} is not installed'
    raise ConfigError(f"config '{path}' does not exist; looked in: {places}")


def is_distiller(model: Mapping[str, Any]) -> bool:
    """Whether a model dictionary is a distiller's: what there is to test of it is its student."""
    return str(model.get('type', '')).endswith('CrossModalDistiller')


def student_of(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model dictionary of a distiller's student alone, with the preprocessor the distiller has for it.

    Example:
        >>> student_of(dict(type='CrossModalDistiller', student=dict(type='A'), data_preprocessor=dict(type='B')))
        {'type': 'A', 'data_preprocessor': {'type': 'B'}}
    """
    student = dict(model['student'])
    if model.get('data_preprocessor') is not None:
        student.setdefault('data_preprocessor', model['data_preprocessor'])
    return student


def config_roots(package: str) -> list[Path]:
    """Return where an OpenMMLab package keeps its configs: its ``.mim`` folder, or beside a source checkout."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).resolve().parent
    return [root for root in (folder / '.mim' / 'configs', folder.parent / 'configs') if root.is_dir()]
