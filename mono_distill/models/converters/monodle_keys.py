"""Names of MonoDLE parameters: official (MonoDLE, MonoDistill, MonoSTL) to :class:`CenterNetMono3D`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from mono_distill.models.converters.dla_keys import rename_dla_keys
from mono_distill.utils.errors import CheckpointError

Value = TypeVar('Value')

_TRUNK = ('backbone.', 'neck.')
_BRANCHES = ('heatmap.', 'offset_2d.', 'size_2d.', 'depth.', 'offset_3d.', 'size_3d.', 'heading.')
_DATA_PARALLEL = 'module.'


def convert_monodle_keys(state: Mapping[str, Value], prefix: str = '') -> tuple[dict[str, Value], list[str]]:
    """Rename the keys of an official MonoDLE state dict to those of a :class:`CenterNetMono3D` with a MonoDLE head.

    The 342 official keys become 340: the unused ImageNet classifier ``backbone.fc`` is dropped. The neck keeps its
    names, branches move under ``bbox_head.``. A leading ``module.`` (``DataParallel``) is ignored.

    Args:
        state: The official ``model_state``.
        prefix: Sub-network to take out of a distillation checkpoint, with the final dot: ``'centernet_rgb.'`` is the
            student and ``'centernet_depth.'`` the teacher of MonoDistill and MonoSTL. Other keys are dropped then.

    Returns:
        The renamed state dict and the dropped keys.

    Raises:
        CheckpointError: If a key is not one of MonoDLE's, or no key has the prefix.

    Example:
        >>> convert_monodle_keys({'backbone.level5.tree1.bn2.bias': 0, 'depth.2.bias': 1})
        ({'backbone.level5.tree1.norm2.bias': 0, 'bbox_head.depth.2.bias': 1}, [])
    """
    inside: dict[str, Value] = {}
    dropped: list[str] = []
    for key, value in state.items():
        bare = key.removeprefix(_DATA_PARALLEL)
        if bare.startswith(prefix):
            inside[_branch_key(bare[len(prefix) :])] = value
        else:
            dropped.append(key)
    if not inside:
        raise CheckpointError(
            f'No key of the checkpoint starts with {prefix!r} (found for example {list(state)[:3]}); '
            "use prefix='' for a plain MonoDLE checkpoint."
        )
    renamed, classifier = rename_dla_keys(inside, 'backbone.')
    return renamed, dropped + [prefix + key for key in classifier]


def _branch_key(key: str) -> str:
    if key.startswith(_TRUNK):
        return key
    if key.startswith(_BRANCHES):
        return f'bbox_head.{key}'
    raise CheckpointError(
        f'{key!r} is not a key of an official MonoDLE checkpoint; expected one that starts with '
        f'{", ".join(_TRUNK + _BRANCHES)}. For a distillation checkpoint name the sub-network with prefix=.'
    )
