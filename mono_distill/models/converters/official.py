"""The official repositories whose checkpoints can be converted, and what of this package their networks become."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mono_distill.utils.errors import CheckpointError, ConfigError, did_you_mean

PARTS = ('student', 'teacher')
# Sub-networks of the official distillation code (MonoDistill, MonoSTL, MonoSKD: ``*_distill.py``).
PAIR_PREFIXES: Mapping[str, str] = {'student': 'centernet_rgb.', 'teacher': 'centernet_depth.'}

KeyConverter = Callable[..., tuple[dict[str, Any], list[str]]]
_CLASSIFIER = ('backbone.fc.', 'classifier of ImageNet, which no output uses')


@dataclass(frozen=True)
class OfficialModel:
    """A network of an official repository.

    Attributes:
        kind: Its name in :mod:`mono_distill.models.converters.recognise`.
        title: Its name in messages.
        converter: ``'module:function'`` in this folder: renames keys as :func:`convert_monodle_keys` does.
        class_key: Official name of a tensor with one row per class.
        drop_reasons: (part of a name, why such keys are left out).
    """

    kind: str
    title: str
    converter: str
    class_key: str
    drop_reasons: tuple[tuple[str, str], ...] = ()

    def load_converter(self) -> KeyConverter:
        """Import the function that renames the keys.

        Raises:
            ConfigError: This version of the package has none.
        """
        module, _, function = self.converter.partition(':')
        try:
            found = getattr(importlib.import_module(f'mono_distill.models.converters.{module}'), function, None)
        except ModuleNotFoundError as error:
            if not str(error.name).startswith('mono_distill'):
                raise
            found = None
        if found is None:
            raise ConfigError(
                f'this version of mono_distill cannot convert {self.title} checkpoints (no {self.converter}); '
                'install a newer one'
            )
        converter: KeyConverter = found
        return converter


@dataclass(frozen=True)
class OfficialSource:
    """An official repository.

    Attributes:
        name: What ``mono-distill convert --from`` calls it.
        model: The network it trains.
        configs: Part to the config of this package for it.
        pair: Whether it saves a student and its teacher in one file. Files of one of them alone are taken too: with
            these repositories every distillation starts from two.
        options: Part to config options that its released weights need.
    """

    name: str
    model: OfficialModel
    configs: Mapping[str, str]
    pair: bool = False
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which files it writes, in the words of :func:`mono_distill.models.converters.recognise.recognise`."""
        return (f'{self.model.kind} pair', self.model.kind) if self.pair else (self.model.kind,)


MONODLE = OfficialModel(
    kind='monodle',
    title='MonoDLE',
    converter='monodle_keys:convert_monodle_keys',
    class_key='heatmap.2.weight',
    drop_reasons=(_CLASSIFIER,),
)
DIDM3D = OfficialModel(
    kind='didm3d',
    title='DID-M3D',
    converter='did_keys:convert_did_keys',
    class_key='heatmap.2.weight',
    drop_reasons=(_CLASSIFIER,),
)
MONODETR = OfficialModel(
    kind='monodetr',
    title='MonoDETR',
    converter='monodetr_keys:convert_monodetr_keys',
    class_key='class_embed.0.weight',
    drop_reasons=(
        ('label_enc', 'belongs to denoising queries, which the published setting does not use'),
        ('decoder.bbox_embed', 'second name of the tensors in bbox_embed'),
        ('decoder.dim_embed', 'second name of the tensors in dim_embed_3d'),
        ('query_scale', 'never used by the official forward pass'),
        ('ref_point_head', 'never used by the official forward pass'),
        ('sa_v_proj', 'its output is overwritten in the official forward pass'),
    ),
)

_MONODLE_CONFIGS = {
    'student': 'mono_distill::students/monodle_kitti.py',
    'teacher': 'mono_distill::teachers/monodle_depth_kitti.py',
}
_DID_CONFIGS = {
    'student': 'mono_distill::students/didm3d_kitti.py',
    'teacher': 'mono_distill::teachers/didm3d_depth_kitti.py',
}
# Released teachers were trained on depth in the scale of their own code; in metric scale they would see something else.
_DEPTH = 'model.data_preprocessor.depth_normalize'
_MONODISTILL_OPTIONS = {'teacher': {_DEPTH: 'monodistill'}}
# Released networks were trained with the released way from input pixels to pixels of the image.
_DID_PIXELS = {'model.bbox_head.pixel_mode': 'official'}
_MONOSKD_OPTIONS = {'student': _DID_PIXELS, 'teacher': {**_DID_PIXELS, _DEPTH: 'monoskd'}}
_MONODETR_OPTIONS = {'student': {'model.bbox_head.depth_geometry': 'official'}}

OFFICIAL_SOURCES: Mapping[str, OfficialSource] = {
    source.name: source
    for source in (
        OfficialSource('monodle', MONODLE, {'student': _MONODLE_CONFIGS['student']}),
        OfficialSource('didm3d', DIDM3D, {'student': _DID_CONFIGS['student']}, options={'student': _DID_PIXELS}),
        OfficialSource(
            'monodetr', MONODETR, {'student': 'mono_distill::students/monodetr_kitti.py'}, options=_MONODETR_OPTIONS
        ),
        OfficialSource('monodistill', MONODLE, _MONODLE_CONFIGS, pair=True, options=_MONODISTILL_OPTIONS),
        OfficialSource('monoskd', DIDM3D, _DID_CONFIGS, pair=True, options=_MONOSKD_OPTIONS),
        OfficialSource('monostl', MONODLE, _MONODLE_CONFIGS, pair=True, options=_MONODISTILL_OPTIONS),
    )
}


def official_source(name: str, part: str) -> OfficialSource:
    """Look up a repository, and check that it has networks of that part.

    Args:
        name: A key of :data:`OFFICIAL_SOURCES`.
        part: ``'student'`` or ``'teacher'``.

    Raises:
        ConfigError: The name or part is unknown.
        CheckpointError: The repository has no teachers.

    Example:
        >>> official_source('monostl', 'teacher').options
        {'teacher': {'model.data_preprocessor.depth_normalize': 'monodistill'}}
    """
    if name not in OFFICIAL_SOURCES:
        raise ConfigError(f'no official repository {name!r}; {did_you_mean(name, OFFICIAL_SOURCES)}')
    if part not in PARTS:
        raise ConfigError(f'no part {part!r}; {did_you_mean(part, PARTS)}')
    source = OFFICIAL_SOURCES[name]
    if part not in source.configs:
        others = [other.name for other in OFFICIAL_SOURCES.values() if other.pair and other.model is source.model]
        teachers = f'; a LiDAR teacher of this form comes with --from {" or ".join(others)}' if others else ''
        raise CheckpointError(f'the {source.model.title} repository trains cameras only: use --part student{teachers}')
    return source
