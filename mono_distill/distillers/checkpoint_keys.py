"""Key names in checkpoints: the student's as if it stood alone, everything else under ``distill.``.

One file then resumes the distillation *and* loads into the plain student config without conversion.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from torch import nn

STUDENT_PREFIX = 'student.'
DISTILL_PREFIX = 'distill.'


def to_checkpoint(key: str) -> str:
    """Return the name in a checkpoint for a name in the distiller.

    Example:
        >>> to_checkpoint('student.neck.weight'), to_checkpoint('graph.adapters.s.weight')
        ('neck.weight', 'distill.graph.adapters.s.weight')
    """
    return key.removeprefix(STUDENT_PREFIX) if key.startswith(STUDENT_PREFIX) else DISTILL_PREFIX + key


def from_checkpoint(key: str) -> str:
    """Return the name in the distiller for a name in a checkpoint: the inverse of :func:`to_checkpoint`.

    Example:
        >>> from_checkpoint('neck.weight'), from_checkpoint('distill.graph.adapters.s.weight')
        ('student.neck.weight', 'graph.adapters.s.weight')
    """
    return key.removeprefix(DISTILL_PREFIX) if key.startswith(DISTILL_PREFIX) else STUDENT_PREFIX + key


def install_key_mapping(model: nn.Module) -> None:
    """Make a module's ``state_dict`` and loading use checkpoint names.

    Works for nested use (``module.`` of DDP and EMA) and with both torch's and mmengine's loading, which walk the
    module tree themselves and only share these hooks.
    """
    model._register_state_dict_hook(_save_hook)
    model._register_load_state_dict_pre_hook(_load_hook)


def _rename(state: MutableMapping[str, Any], prefix: str, rename: Any) -> None:
    # Popping and re-inserting every key keeps the order of the entries.
    for key in list(state):
        value = state.pop(key)
        state[prefix + rename(key[len(prefix) :]) if key.startswith(prefix) else key] = value


def _save_hook(_module: nn.Module, state: MutableMapping[str, Any], prefix: str, _metadata: Any) -> None:
    _rename(state, prefix, to_checkpoint)


def _load_hook(state: MutableMapping[str, Any], prefix: str, *_rest: Any) -> None:
    _rename(state, prefix, from_checkpoint)
