"""The test pipeline of a config, fed with pictures instead of entries of an info file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import Compose
from mmengine.config import Config
from numpy.typing import NDArray

from mono_distill.apis.inference.images import ImageSource, Picture
from mono_distill.registry import DATASETS, SCOPE, TRANSFORMS
from mono_distill.utils.errors import ConfigError

# Transforms that hold a part of the pipeline. A cache would take all pictures for the same frame, and the depth map of
# the other is for teachers.
_WRAPPERS = ('CacheTransforms', 'WithDepthMap')
_LOADERS = ('LoadMonoImage', 'LoadImageFromFileMono3D', 'LoadImageFromFile')
# What reads something else than the picture, and what that is.
_FORBIDDEN = {
    'LoadDepthMap': 'LiDAR depth maps',
    'LoadPointsFromFile': 'LiDAR points',
    'LoadMultiViewImageFromFiles': 'several cameras',
    'LoadMonoKittiAnnotations': 'annotations',
    'LoadAnnotations3D': 'annotations',
}
_CURE = (
    'give the config of a camera detector (the student of a distillation), or evaluate this one: `mono-distill test`'
)


class InferencePipeline:
    """What the test data loader of a config does to a frame, without its data set.

    Args:
        config: A detector's config.

    Raises:
        ConfigError: There is no test pipeline, it reads more than a picture, or the classes have no names.
    """

    def __init__(self, config: Config) -> None:
        dataset = _test_dataset(config)
        steps = _flat(dataset.get('pipeline') or ())
        self._refuse_other_inputs(config, steps)
        loader = next((step for step in steps if _name(step) in _LOADERS), None)
        if loader is None:
            raise ConfigError(f'the test pipeline does not begin with one of {", ".join(_LOADERS)}')
        self._as_float = bool(loader.get('to_float32', False))
        self._transforms = Compose([TRANSFORMS.build(dict(step)) for step in steps if step is not loader])
        self.classes = _classes(dataset)

    def __call__(self, image: Picture, cam2img: NDArray[np.float64], source: ImageSource) -> dict[str, Any]:
        """Return the packed sample (``inputs``, ``data_samples``) of one picture."""
        from mmdet3d.structures import Box3DMode, CameraInstance3DBoxes

        sample = {
            'sample_id': source.name,
            'sample_idx': 0,
            'img_path': source.shown,
            'img': image.astype(np.float32) if self._as_float else image,
            'img_shape': image.shape[:2],
            'ori_shape': image.shape[:2],
            'cam2img': cam2img,
            'ori_cam2img': cam2img,
            'classes': self.classes,
            # Heads of mmdet3d build their boxes with these.
            'box_type_3d': CameraInstance3DBoxes,
            'box_mode_3d': Box3DMode.CAM,
        }
        packed = self._transforms(sample)
        if packed is None or 'img' not in packed.get('inputs', {}):
            raise ConfigError('the test pipeline gives no inputs.img; end it with mono_distill.PackMono3DInputs')
        return packed

    @staticmethod
    def _refuse_other_inputs(config: Config, steps: Sequence[Mapping[str, Any]]) -> None:
        preprocessor = config.model.get('data_preprocessor') or {}
        if preprocessor.get('modality') == 'depth' or 'DepthDet3D' in str(preprocessor.get('type')):
            raise ConfigError(f'this detector looks at LiDAR depth maps, which a picture does not give; {_CURE}')
        for step in steps:
            if _name(step) in _FORBIDDEN:
                needs = _FORBIDDEN[_name(step)]
                raise ConfigError(f'the test pipeline reads {needs} ({_name(step)}), which a picture has not; {_CURE}')


def _test_dataset(config: Config) -> Mapping[str, Any]:
    loader = config.get('test_dataloader') or config.get('val_dataloader')
    if not loader:
        raise ConfigError('the config has neither a test_dataloader nor a val_dataloader to take the pipeline from')
    dataset = loader['dataset']
    while 'pipeline' not in dataset:
        inner = dataset.get('dataset') or next(iter(dataset.get('datasets') or ()), None)
        if inner is None:
            raise ConfigError(f'the test data set {dataset.get("type")} has no pipeline')
        dataset = inner
    return dataset


def _flat(steps: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the transforms, with those that a wrapper holds in its place."""
    flat: list[Mapping[str, Any]] = []
    for step in steps:
        flat += _flat(step['transforms']) if _name(step) in _WRAPPERS else [step]
    return flat


def _name(step: Mapping[str, Any]) -> str:
    kind = step['type']
    return kind.split('.')[-1] if isinstance(kind, str) else kind.__name__


def _classes(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        kind = dataset.get('type')
        cls = DATASETS.get(kind.removeprefix(f'{SCOPE}.')) if isinstance(kind, str) else kind
        classes = getattr(cls, 'METAINFO', {}).get('classes')
    if not classes:
        raise ConfigError("the test data set names no classes; set test_dataloader.dataset.metainfo.classes=('Car', …)")
    return tuple(classes)
