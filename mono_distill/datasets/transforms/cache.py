"""Keep what the deterministic head of a pipeline made of a frame."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose

from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, DataError


@TRANSFORMS.register_module()
class CacheTransforms(BaseTransform):
    """Run some transforms once for every frame and hand out copies of their result afterwards.

    For data sets that fit into memory and are read many times: decoding a picture and completing its depth map take
    longer than all augmentation. Frames are told apart by ``sample_idx``, their number in the data set, so one object
    serves one data set. Every worker process of a data loader has a cache of its own.

    Args:
        transforms: Configs of the transforms; none of them may draw random numbers.

    Raises:
        ConfigError: No transform is given.
        DataError: A sample has no ``sample_idx``, or a transform returned nothing.
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        if not transforms:
            raise ConfigError('CacheTransforms: name the transforms whose result is kept, LoadMonoImage first')
        self.transforms = Compose([TRANSFORMS.build(dict(transform)) for transform in transforms])
        self._results: dict[int, dict[str, Any]] = {}

    @property
    def past_keyframes(self) -> int:
        """Earlier key-frames that the transforms inside ask the data set for."""
        return max((getattr(step, 'past_keyframes', 0) for step in self.transforms.transforms), default=0)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return the kept result of this frame, or make it."""
        key = results.get('sample_idx')
        if key is None:
            raise DataError('CacheTransforms: the sample has no sample_idx to tell it from others')
        if key not in self._results:
            made = self.transforms(results)
            if made is None:
                raise DataError(f'CacheTransforms: a transform returned nothing for sample {key}')
            self._results[key] = made
        return copy.deepcopy(self._results[key])

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.transforms!r})'
