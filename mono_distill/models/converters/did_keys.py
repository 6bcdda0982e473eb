"""Names of DID-M3D parameters: official (DID-M3D, MonoSKD) to :class:`CenterNetMono3D` with a :class:`DIDHead`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from mono_distill.models.converters.dla_keys import rename_dla_keys
from mono_distill.utils.errors import CheckpointError

Value = TypeVar('Value')

_BACKBONE, _NECK = 'backbone.', 'feat_up.'
_DENSE = ('heatmap.', 'offset_2d.', 'size_2d.')
_POOLED = ('offset_3d.', 'size_3d.', 'heading.')
_BINS = ('vis_depth.', 'att_depth.', 'vis_depth_uncer.', 'att_depth_uncer.')
_HEAD = ('mean_size', *_DENSE, *_POOLED, *_BINS)
_DATA_PARALLEL = 'module.'


def convert_did_keys(state: Mapping[str, Value], prefix: str = '') -> tuple[dict[str, Value], list[str]]:
    """Rename the keys of an official DID-M3D state dict to those of a :class:`CenterNetMono3D` with a DID head.

    The 370 official keys become 368: the unused ImageNet classifier ``backbone.fc`` is dropped. ``feat_up`` becomes
    ``neck``; branches and ``mean_size`` move under ``bbox_head.``. A leading ``module.`` (``DataParallel``) is ignored.

    Args:
        state: The official ``model_state``.
        prefix: Sub-network to take out of a distillation checkpoint, with the final dot: MonoSKD's are
            ``'centernet_rgb.'``, the student, and ``'centernet_depth.'``, the teacher. Other keys are dropped then.

    Returns:
        The renamed state dict and the dropped keys.

    Raises:
        CheckpointError: If a key is not one of DID-M3D's, or no key has the prefix.

    Example:
        >>> convert_did_keys({'feat_up.ida_0.proj_1.bn.bias': 0, 'vis_depth.2.bias': 1})
        ({'neck.ida_0.proj_1.bn.bias': 0, 'bbox_head.vis_depth.2.bias': 1}, [])
    """
    inside: dict[str, Value] = {}
    dropped: list[str] = []
    for key, value in state.items():
        bare = key.removeprefix(_DATA_PARALLEL)
        if bare.startswith(prefix):
            inside[_detector_key(bare[len(prefix) :])] = value
        else:
            dropped.append(key)
    if not inside:
        raise CheckpointError(
            f'No key of the checkpoint starts with {prefix!r} (found for example {list(state)[:3]}); '
            "use prefix='' for a plain DID-M3D checkpoint."
        )
    renamed, classifier = rename_dla_keys(inside, _BACKBONE)
    return renamed, dropped + [prefix + key for key in classifier]


def _detector_key(key: str) -> str:
    if key.startswith(_BACKBONE):
        return key
    if key.startswith(_NECK):
        return f'neck.{key.removeprefix(_NECK)}'
    if key.startswith(_HEAD):
        return f'bbox_head.{key}'
    raise CheckpointError(
        f'{key!r} is not a key of an official DID-M3D checkpoint; expected one that starts with '
        f'{", ".join((_BACKBONE, _NECK, *_HEAD))}. For a distillation checkpoint name the sub-network with prefix=.'
    )
