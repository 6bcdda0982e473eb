"""Which annotated objects a monocular detector is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mono_distill.datasets.transforms.annotations import OBJECT_KEYS
from mono_distill.registry import TRANSFORMS
from mono_distill.utils.errors import ConfigError, did_you_mean


@TRANSFORMS.register_module()
class FilterMonoObjects(BaseTransform):
    """Keep the objects the official code trains on.

    An object stays if its class is trained, the depth of its centre lies in [min_depth, max_depth] and its difficulty
    is known: annotated box at least 25 px high (last row minus first plus one), truncated <= 0.5, occluded <= 2
    (``kitti_dataset.py`` of MonoDLE, MonoDistill and MonoDETR). Objects whose centre leaves the input after a crop are
    the target encoder's affair.

    Args:
        train_classes: Class names; None keeps all. Labels do not change: they index ``classes`` of the data set.
        min_depth: Smallest depth of the box centre, metres.
        max_depth: Largest depth of the box centre, metres; None for no bound (DID-M3D).
        drop_unknown: Whether to drop objects of unknown difficulty.

    Raises:
        ConfigError: A class name is not among the data set's classes.
    """

    def __init__(
        self,
        train_classes: Sequence[str] | None = None,
        min_depth: float = 2.0,
        *,
        max_depth: float | None = 65.0,
        drop_unknown: bool = True,
    ) -> None:
        self.train_classes = None if train_classes is None else tuple(train_classes)
        self.min_depth = min_depth
        self.max_depth = max_depth
        self.drop_unknown = drop_unknown

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Drop the other objects from all per-object keys."""
        depths = results['gt_depths']
        keep = depths >= self.min_depth
        if self.max_depth is not None:
            keep &= depths <= self.max_depth
        if self.drop_unknown:
            keep &= results['gt_difficulty'] >= 0
        if self.train_classes is not None:
            keep &= np.isin(results['gt_labels_3d'], self._labels(results['classes']))
        for key in OBJECT_KEYS:
            if key in results:
                results[key] = results[key][torch.from_numpy(keep) if key == 'gt_bboxes_3d' else keep]
        return results

    def _labels(self, classes: Sequence[str]) -> list[int]:
        unknown = [name for name in self.train_classes or () if name not in classes]
        if unknown:
            raise ConfigError(f'FilterMonoObjects: no class {unknown[0]!r}; {did_you_mean(unknown[0], classes)}')
        return [classes.index(name) for name in self.train_classes or ()]

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(train_classes={self.train_classes}, min_depth={self.min_depth}, '
            f'max_depth={self.max_depth}, drop_unknown={self.drop_unknown})'
        )
