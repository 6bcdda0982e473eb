"""Tells by the names of its parameters which model a checkpoint belongs to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_PAIR = ('centernet_rgb.', 'centernet_depth.')


@dataclass(frozen=True)
class Recognised:
    """What a checkpoint looks like.

    Attributes:
        kind: ``'monodle'``, ``'didm3d'``, ``'monodetr'``; ``'monodle pair'`` and ``'didm3d pair'`` for a student and
            its teacher in one file; ``'distiller'``, ``'openmmlab'``, ``'dla34'``, ``'resnet'``; ``''`` if none fits.
        title: The same in words, for messages.
        advice: What to do with such a file.
    """

    kind: str
    title: str
    advice: str


_UNKNOWN = Recognised('', 'no model this package knows', 'give the file as the official repository released it')
# Marks are prefixes; the first entry of which every mark occurs wins, so the more specific come first.
_SIGNATURES: tuple[tuple[tuple[str, ...], Recognised], ...] = (
    (
        ('distill.',),
        Recognised(
            'distiller',
            'a distillation checkpoint of this package',
            'it needs no conversion; `mono-distill export` takes the student out of it',
        ),
    ),
    (
        ('bbox_head.',),
        Recognised(
            'openmmlab', 'a checkpoint of this package or of MMDetection3D', 'it needs no conversion; load it as it is'
        ),
    ),
    (('depthaware_transformer.',), Recognised('monodetr', 'MonoDETR', 'convert it with --from monodetr')),
    (('feat_up.', 'vis_depth.'), Recognised('didm3d', 'DID-M3D', 'convert it with --from didm3d')),
    (('neck.ida_', 'depth.', 'heading.'), Recognised('monodle', 'MonoDLE', 'convert it with --from monodle')),
    (
        ('base_layer.', 'level5.'),
        Recognised('dla34', 'ImageNet weights of DLA-34', "name the file in the config, as the backbone's pretrained="),
    ),
    (
        ('conv1.', 'layer4.'),
        Recognised(
            'resnet', 'ImageNet weights of a ResNet', "name the file in the config, as the backbone's pretrained="
        ),
    ),
)
_PAIRS = {
    'monodle': Recognised(
        'monodle pair',
        'a MonoDistill or MonoSTL checkpoint (two MonoDLE networks)',
        'convert it with --from monodistill',
    ),
    'didm3d': Recognised(
        'didm3d pair', 'a MonoSKD checkpoint (two DID-M3D networks)', 'convert it with --from monoskd'
    ),
}


def recognise(keys: Collection[str]) -> Recognised:
    """Say what a checkpoint looks like; a few missing or extra keys do not matter.

    Args:
        keys: Names in its state dict, without ``module.``.

    Example:
        >>> recognise(['neck.ida_0.proj_1.conv.weight', 'depth.0.bias', 'heading.0.bias']).title
        'MonoDLE'
        >>> recognise(['conv1.weight', 'layer4.2.conv3.weight', 'fc.bias']).kind
        'resnet'
    """
    if any(key.startswith(_PAIR) for key in keys):
        inner = recognise([key.split('.', 1)[1] for key in keys if key.startswith(_PAIR)])
        return _PAIRS.get(inner.kind, _UNKNOWN)
    for marks, found in _SIGNATURES:
        if all(any(key.startswith(mark) for key in keys) for mark in marks):
            return found
    return _UNKNOWN
