"""Names of DLA-34 parameters: official (``dla34-ba72cf86.pth``, MonoDLE, DID-M3D, timm) to mmdet3d's ``DLANet``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar('Value')

_NORM_NAMES = (
    (re.compile(r'\.bn([12])\.'), r'.norm\1.'),
    (re.compile(r'(^|\.)root\.bn\.'), r'\1root.norm.'),
)
_CLASSIFIER = 'fc.'


def rename_dla_keys(state: Mapping[str, Value], prefix: str = '') -> tuple[dict[str, Value], list[str]]:
    """Rename official DLA keys under ``prefix``; names of mmdet3d pass unchanged, so renaming twice does no harm.

    Args:
        state: A state dict; keys outside ``prefix`` pass unchanged.
        prefix: Where the backbone lives, with the final dot (``'backbone.'``).

    Returns:
        The renamed state dict (same order, same tensors) and the dropped keys of the ImageNet classifier ``fc``.

    Example:
        >>> rename_dla_keys({'level2.tree1.bn1.weight': 0, 'level2.root.bn.bias': 1, 'fc.bias': 2})
        ({'level2.tree1.norm1.weight': 0, 'level2.root.norm.bias': 1}, ['fc.bias'])
    """
    renamed: dict[str, Value] = {}
    dropped: list[str] = []
    for key, value in state.items():
        if not key.startswith(prefix):
            renamed[key] = value
        elif key.startswith(prefix + _CLASSIFIER):
            dropped.append(key)
        else:
            renamed[prefix + _rename(key[len(prefix) :])] = value
    return renamed, dropped


def _rename(key: str) -> str:
    for pattern, replacement in _NORM_NAMES:
        key = pattern.sub(replacement, key)
    return key
