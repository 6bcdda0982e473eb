"""Batching for detectors that share KITTI samples of picture, LiDAR depth and points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.data_preprocessors.voxelize import VoxelizationByGridShape
from mmengine.model import BaseDataPreprocessor
from torch import Tensor
from torch.nn import functional as F

from mono_distill.models.data_preprocessors.mono3d import IMAGENET_MEAN, IMAGENET_STD
from mono_distill.models.data_preprocessors.voxels import voxelize_by
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

_KEYS = {'camera': ('img', 'gt_depth'), 'points': ('points',)}


@MODELS.register_module()
class KittiBEVDataPreprocessor(BaseDataPreprocessor):
    """From collated samples of :class:`mono_distill.datasets.PackKittiBEVInputs` to what one of the detectors takes.

    ``modality='camera'``: ``inputs`` with imgs (B, 3, H, W), normalised RGB, padded at the bottom and at the right to a
    multiple of ``pad_size_divisor`` with 0 after normalisation, and, where the samples have it, gt_depth (B, H / d, W /
    d), padded with 0 (no depth). Cells of depth are d = ``depth_downsample`` pixels wide.

    ``modality='points'``: ``inputs`` with points, a list of (n, 4), and voxels, a dict of voxels (V, P, 4), num_points
    (V,) and coors (V, 4) sample, z, y, x.

    Nothing that comes in is changed, so that student, assistant and teacher can share one batch; only what is used goes
    to the device.

    Args:
        modality: ``'camera'`` or ``'points'``.
        voxel_layer: Arguments of mmdet3d's ``VoxelizationByGridShape``; needed for points, refused otherwise.
        mean: Mean of R, G, B in [0, 255].
        std: Standard deviation of R, G, B.
        pad_size_divisor: Of the picture's height and width; a multiple of ``depth_downsample``.
        depth_downsample: Pixels per cell of depth, as in ``KittiBEVDepth``.
        non_blocking: Whether copies to the device may run asynchronously, which they do from pinned memory.

    Raises:
        ConfigError: An argument is unknown or does not fit the others.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        modality: str = 'camera',
        voxel_layer: Mapping[str, Any] | None = None,
        *,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        pad_size_divisor: int = 8,
        depth_downsample: int = 8,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        if modality not in _KEYS:
            raise ConfigError(f"KittiBEVDataPreprocessor: modality must be 'camera' or 'points', got {modality!r}")
        if (modality == 'points') != (voxel_layer is not None):
            raise ConfigError("KittiBEVDataPreprocessor: give voxel_layer with modality='points', and only then")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ConfigError(f'KittiBEVDataPreprocessor: mean and std need 3 values, std > 0, got {mean} and {std}')
        if pad_size_divisor < 1 or depth_downsample < 1 or pad_size_divisor % depth_downsample:
            raise ConfigError(
                f'KittiBEVDataPreprocessor: pad_size_divisor={pad_size_divisor} must be a multiple of '
                f'depth_downsample={depth_downsample}, so that cells of depth and of features are the same'
            )
        self.modality = modality
        self.pad_size_divisor, self.depth_downsample = pad_size_divisor, depth_downsample
        if voxel_layer is not None:
            self.voxel_layer = VoxelizationByGridShape(**voxel_layer)
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Move a collated batch to the device and batch it.

        Args:
            data: Collated samples, see the class.
            training: Whether the voxel layer's limit for training applies; decided by the mode of this module.

        Raises:
            DataError: The samples lack the picture or the points.
            ShapeError: The cells of depth do not fit the picture.
        """
        wanted = {name: value for name, value in data['inputs'].items() if name in _KEYS[self.modality]}
        samples = data.get('data_samples')
        required = 'img' if self.modality == 'camera' else 'points'
        if wanted.get(required) is None:
            loader = 'LoadMonoImage' if required == 'img' else 'LoadKittiBEVPoints'
            raise DataError(
                f'KittiBEVDataPreprocessor: no {required} among the inputs{_names(samples)}; add mono_distill.{loader} '
                'to the pipeline'
            )
        cast = self.cast_data({**data, 'inputs': wanted})
        prepared = self._camera(cast['inputs'], samples) if required == 'img' else self._points(cast['inputs'])
        return {**cast, 'inputs': prepared, 'data_samples': cast.get('data_samples')}

    def _camera(self, inputs: Mapping[str, Any], samples: Sequence[Any] | None) -> dict[str, Tensor]:
        images = list(inputs['img'])
        divisor = self.pad_size_divisor
        height, width = (-(-max(image.shape[axis] for image in images) // divisor) * divisor for axis in (1, 2))
        # flip: BGR to RGB.
        normalised = [(image.flip(0).float() - self.mean) / self.std for image in images]
        prepared = {'imgs': torch.stack([_padded(image, height, width) for image in normalised])}
        if inputs.get('gt_depth') is not None:
            cells = [-(-size // self.depth_downsample) for image in images for size in image.shape[1:]]
            found = [size for depth in inputs['gt_depth'] for size in depth.shape]
            if cells != found:
                raise ShapeError(
                    f'KittiBEVDataPreprocessor: gt_depth has shapes {[tuple(d.shape) for d in inputs["gt_depth"]]} for '
                    f'pictures of {[tuple(i.shape[1:]) for i in images]} pixels{_names(samples)}; give KittiBEVDepth '
                    f'downsample={self.depth_downsample} and place it last before packing'
                )
            size = (height // self.depth_downsample, width // self.depth_downsample)
            prepared['gt_depth'] = torch.stack([_padded(depth.float(), *size) for depth in inputs['gt_depth']])
        return prepared

    @torch.no_grad()
    def _points(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        points = list(inputs['points'])
        return {'points': points, 'voxels': voxelize_by(self.voxel_layer, points)}


def _padded(tensor: Tensor, height: int, width: int) -> Tensor:
    return F.pad(tensor, (0, width - tensor.shape[-1], 0, height - tensor.shape[-2]))


def _names(samples: Sequence[Any] | None) -> str:
    """Return ``' (samples 000003, 000007)'`` for messages."""
    names = [str(sample.metainfo.get('sample_id', '?')) for sample in samples or ()]
    return f' (samples {", ".join(names)})' if names else ''
