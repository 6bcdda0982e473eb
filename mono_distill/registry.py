"""Registries of the package: children of mmengine's root registries with the scope ``mono_distill``.

Configs name our parts with the prefix (``type='mono_distill.SpearmanLoss'``); the prefix resolves from every default
scope without ``custom_imports``. Modules are imported lazily and one location at a time, so a user who asks for a loss
imports :mod:`mono_distill.losses` (torch and mmengine) and never mmdet3d.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

SCOPE = 'mono_distill'


class LazyRegistry(Registry):
    """A registry that imports its locations one after another, only until the wanted name appears.

    mmengine imports *all* locations at the first lookup and turns an ``ImportError`` in any of them into a warning.
    Here a lookup stops at the first location that defines the name, and a failing import is raised as it is.

    Args:
        name: Registry name, as for :class:`mmengine.registry.Registry`.
        parent: The mmengine root registry.
        locations: Modules that register members, in the order in which they are tried (lightest first).
    """

    def __init__(self, name: str, parent: Registry, locations: Sequence[str]) -> None:
        super().__init__(name, parent=parent, scope=SCOPE, locations=list(locations))
        self._imported = True
        self._pending = list(locations)

    def get(self, key: str) -> Any:
        """Return the class registered under ``key`` (with or without the scope prefix), importing what is needed."""
        scope, _, name = key.rpartition('.')
        while scope in ('', SCOPE) and self._pending and name not in self._module_dict:
            # Popped before the import: members of the module may look up other names of this registry.
            location = self._pending.pop(0)
            try:
                importlib.import_module(location)
            except BaseException:
                # Asked again, it fails again, instead of claiming that the name does not exist.
                self._pending.insert(0, location)
                raise
        return super().get(key)


MODELS = LazyRegistry(
    'model',
    MMENGINE_MODELS,
    [
        'mono_distill.losses',
        'mono_distill.adapters',
        'mono_distill.targets',
        'mono_distill.distillers',
        'mono_distill.models',
    ],
)
TASK_UTILS = LazyRegistry('task util', MMENGINE_TASK_UTILS, ['mono_distill.models'])
DATASETS = LazyRegistry('dataset', MMENGINE_DATASETS, ['mono_distill.datasets'])
DATA_SAMPLERS = LazyRegistry('data sampler', MMENGINE_DATA_SAMPLERS, ['mono_distill.datasets'])
TRANSFORMS = LazyRegistry('transform', MMENGINE_TRANSFORMS, ['mono_distill.datasets'])
METRICS = LazyRegistry('metric', MMENGINE_METRICS, ['mono_distill.evaluation'])
HOOKS = LazyRegistry('hook', MMENGINE_HOOKS, ['mono_distill.hooks'])
LOOPS = LazyRegistry('loop', MMENGINE_LOOPS, ['mono_distill.hooks'])
OPTIM_WRAPPERS = LazyRegistry('optim_wrapper', MMENGINE_OPTIM_WRAPPERS, ['mono_distill.hooks'])
VISUALIZERS = LazyRegistry('visualizer', MMENGINE_VISUALIZERS, ['mono_distill.visualization'])
