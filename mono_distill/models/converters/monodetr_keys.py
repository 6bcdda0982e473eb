"""Names of MonoDETR parameters: official to :class:`MonoDETR`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from mono_distill.utils.errors import CheckpointError

Value = TypeVar('Value')

_DATA_PARALLEL = 'module.'
_LAYERS = r'^depthaware_transformer\.{}\.layers\.(\d+)\.'
_ENCODER, _DECODER = _LAYERS.format('encoder'), _LAYERS.format('decoder')

# Modules whose output the official forward pass never uses, and second names of the head's branches.
_UNUSED = re.compile(
    r'^label_enc\.|^depthaware_transformer\.decoder\.(bbox_embed|dim_embed|query_scale|ref_point_head)\.'
    rf'|{_DECODER}sa_v_proj\.'
)
_RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r'^backbone\.0\.body\.', r'backbone.'),
        (r'^input_proj\.([012])\.0\.', r'neck.convs.\1.conv.'),
        (r'^input_proj\.([012])\.1\.', r'neck.convs.\1.gn.'),
        (r'^input_proj\.3\.0\.', r'neck.extra_convs.0.conv.'),
        (r'^input_proj\.3\.1\.', r'neck.extra_convs.0.gn.'),
        (r'^depth_predictor\.', r'depth_predictor.'),
        (r'^depthaware_transformer\.level_embed$', r'level_embed'),
        (r'^depthaware_transformer\.reference_points\.', r'reference_points_fc.'),
        (r'^query_embed\.', r'query_embedding.'),
        (rf'{_ENCODER}linear1\.', r'encoder.layers.\1.ffn.layers.0.0.'),
        (rf'{_ENCODER}linear2\.', r'encoder.layers.\1.ffn.layers.1.'),
        (rf'{_ENCODER}norm1\.', r'encoder.layers.\1.norms.0.'),
        (rf'{_ENCODER}norm2\.', r'encoder.layers.\1.norms.1.'),
        (rf'{_ENCODER}self_attn\.', r'encoder.layers.\1.self_attn.'),
        (rf'{_DECODER}linear1\.', r'decoder.layers.\1.ffn.layers.0.0.'),
        (rf'{_DECODER}linear2\.', r'decoder.layers.\1.ffn.layers.1.'),
        # In the order in which they run.
        (rf'{_DECODER}norm_depth\.', r'decoder.layers.\1.norms.0.'),
        (rf'{_DECODER}norm2\.', r'decoder.layers.\1.norms.1.'),
        (rf'{_DECODER}norm1\.', r'decoder.layers.\1.norms.2.'),
        (rf'{_DECODER}norm3\.', r'decoder.layers.\1.norms.3.'),
        (rf'{_DECODER}(cross_attn|cross_attn_depth|self_attn|sa_[qk](?:content|pos)_proj)\.', r'decoder.layers.\1.\2.'),
        (r'^class_embed\.', r'bbox_head.cls_branches.'),
        (r'^bbox_embed\.', r'bbox_head.bbox_branches.'),
        (r'^dim_embed_3d\.', r'bbox_head.dim_branches.'),
        (r'^angle_embed\.', r'bbox_head.angle_branches.'),
        (r'^depth_embed\.', r'bbox_head.depth_branches.'),
    )
)


def convert_monodetr_keys(state: Mapping[str, Value]) -> tuple[dict[str, Value], list[str]]:
    """Rename the keys of an official MonoDETR state dict to those of a :class:`MonoDETR`.

    The 582 official keys become 537. The 45 others are dropped: parameters that never receive a gradient
    (``label_enc``, ``query_scale``, ``ref_point_head``, ``sa_v_proj``) and the second names of the box and dimension
    branches in the decoder. A leading ``module.`` (``DataParallel``) is ignored.

    The weights are those of a model with ``MonoDETRHead(depth_geometry='official')``.

    Args:
        state: The official ``model_state``.

    Returns:
        The renamed state dict and the dropped keys.

    Raises:
        CheckpointError: If a key is not one of MonoDETR's.

    Example:
        >>> convert_monodetr_keys({'class_embed.0.bias': 0, 'label_enc.weight': 1})
        ({'bbox_head.cls_branches.0.bias': 0}, ['label_enc.weight'])
    """
    renamed: dict[str, Value] = {}
    dropped: list[str] = []
    for key, value in state.items():
        bare = key.removeprefix(_DATA_PARALLEL)
        if _UNUSED.match(bare):
            dropped.append(key)
        else:
            renamed[_renamed(bare)] = value
    return renamed, dropped


def _renamed(key: str) -> str:
    for pattern, name in _RULES:
        if pattern.match(key):
            return pattern.sub(name, key)
    raise CheckpointError(
        f'{key!r} is not a key of an official MonoDETR checkpoint; expected one that starts with backbone.0.body., '
        'input_proj., depth_predictor., depthaware_transformer., query_embed. or a branch such as class_embed.'
    )
