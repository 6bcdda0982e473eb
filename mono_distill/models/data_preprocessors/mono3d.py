"""Batching and normalisation for monocular detectors that look at the picture or at its depth map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mono_distill.models.data_preprocessors.depth_normalize import DEPTH_NORMALIZATIONS, normalize_depth
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError, did_you_mean

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


@MODELS.register_module()
class Mono3DDataPreprocessor(BaseDataPreprocessor):
    """Stack the samples of a batch and normalise what the network looks at.

    Takes ``dict(inputs=dict(img=[(3, H, W) BGR ...], depth_map=[(1, H, W) metres ...]), data_samples=[...])`` and
    returns ``dict(inputs=dict(imgs=(B, 3, H, W)), data_samples=[...])``. With ``modality='rgb'`` imgs is the normalised
    RGB picture. With ``modality='depth'`` it is the normalised depth map, repeated in three channels, so that the same
    network reads LiDAR depth (MonoDistill); metres are multiplied by the sample's ``crop_scale`` first, as the
    regressed depths are. Only the input that is looked at goes to the device.

    Nothing that comes in is changed, so that several preprocessors can share one batch.

    Args:
        modality: What imgs shows: ``'rgb'`` or ``'depth'``.
        mean: Mean of R, G, B in [0, 255].
        std: Standard deviation of R, G, B.
        depth_normalize: ``'metric'``, ``'monodistill'`` or ``'monoskd'``, see
            :func:`mono_distill.models.data_preprocessors.normalize_depth`.
        non_blocking: Whether copies to the device may run asynchronously, which they do from pinned memory.

    Raises:
        ConfigError: An argument is unknown or has the wrong length.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        modality: str = 'rgb',
        mean: Sequence[float] = IMAGENET_MEAN,
        *,
        std: Sequence[float] = IMAGENET_STD,
        depth_normalize: str = 'metric',
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        if modality not in ('rgb', 'depth'):
            raise ConfigError(f"Mono3DDataPreprocessor: modality must be 'rgb' or 'depth', got {modality!r}")
        if depth_normalize not in DEPTH_NORMALIZATIONS:
            hint = did_you_mean(depth_normalize, DEPTH_NORMALIZATIONS)
            raise ConfigError(f'Mono3DDataPreprocessor: unknown depth_normalize {depth_normalize!r}; {hint}')
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ConfigError(f'Mono3DDataPreprocessor: mean and std need 3 values, std > 0, got {mean} and {std}')
        self.modality = modality
        self.depth_normalize = depth_normalize
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Move a collated batch to the device, stack and normalise it.

        Args:
            data: Collated samples, see the class.
            training: Unused; part of mmengine's interface.

        Raises:
            DataError: The samples lack the picture or the depth map that ``modality`` asks for.
            ShapeError: The samples differ in size or have the wrong number of channels.
        """
        key = 'img' if self.modality == 'rgb' else 'depth_map'
        wanted = {name: value for name, value in data['inputs'].items() if name == key}
        cast = self.cast_data({**data, 'inputs': wanted})
        normalized = self._normalized_images if self.modality == 'rgb' else self._normalized_depth
        samples = cast.get('data_samples')
        return {**cast, 'inputs': {'imgs': normalized(cast['inputs'], samples)}, 'data_samples': samples}

    def _normalized_images(self, inputs: Mapping[str, Any], samples: Sequence[Any] | None) -> Tensor:
        if inputs.get('img') is None:
            raise DataError(f'no img among the inputs{_name(samples)}; add mono_distill.LoadMonoImage to the pipeline')
        images = _stack(inputs['img'], 'img', 3, samples)
        # flip: BGR to RGB.
        return (images.flip(1).float() - self.mean) / self.std

    def _normalized_depth(self, inputs: Mapping[str, Any], samples: Sequence[Any] | None) -> Tensor:
        if inputs.get('depth_map') is None:
            raise DataError(
                f"modality='depth' needs a depth_map{_name(samples)}; add mono_distill.LoadDepthMap to the pipeline "
                '(and run `mono-distill prepare kitti` if there are no depth maps yet)'
            )
        depth_maps = _stack(inputs['depth_map'], 'depth_map', 1, samples).float()
        scales = [sample.metainfo.get('crop_scale', 1.0) for sample in samples or ()]
        if any(scale != 1.0 for scale in scales):
            depth_maps = depth_maps * depth_maps.new_tensor(scales).view(-1, 1, 1, 1)
        return normalize_depth(depth_maps, self.depth_normalize).repeat(1, 3, 1, 1)


def _stack(values: Sequence[Tensor] | Tensor, key: str, channels: int, samples: Sequence[Any] | None) -> Tensor:
    """Stack (C, H, W) tensors; a tensor that is a batch already stays what it is."""
    shapes = [tuple(value.shape) for value in values]
    if any(len(shape) != 3 or shape[0] != channels for shape in shapes):
        raise ShapeError(f'{key}: expected ({channels}, H, W) per sample, got {shapes}{_name(samples)}')
    if len(set(shapes)) > 1:
        raise ShapeError(
            f'{key}: samples of one batch differ in size: {shapes}{_name(samples)}; '
            'end the pipeline with mono_distill.MonoRandomCropAffine(size=(width, height))'
        )
    return values if isinstance(values, Tensor) else torch.stack(list(values))


def _name(samples: Sequence[Any] | None) -> str:
    """Return ``' (samples 000003, 000007)'`` for messages."""
    names = [str(sample.metainfo.get('sample_id', '?')) for sample in samples or ()]
    return f' (samples {", ".join(names)})' if names else ''
