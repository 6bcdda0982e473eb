"""Batching, normalisation and voxelisation for bird's-eye-view detectors with several cameras or a LiDAR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.data_preprocessors.voxelize import VoxelizationByGridShape
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mono_distill.models.data_preprocessors.mono3d import IMAGENET_MEAN, IMAGENET_STD
from mono_distill.models.data_preprocessors.voxels import voxelize_by
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

_CAMERA_KEYS = ('imgs', 'cam2img', 'cam2lidar', 'img_aug_matrix', 'lidar_aug_matrix', 'frame_exists')
_CURES = {
    'points': 'mono_distill.LoadLidarSweeps',
    'past_points': 'mono_distill.LoadLidarSweeps(num_past=K)',
    'past_exists': 'mono_distill.LoadLidarSweeps(num_past=K)',
}


@MODELS.register_module()
class BEVDataPreprocessor(BaseDataPreprocessor):
    """Turn a batch of :class:`mono_distill.datasets.PackBEVInputs` samples into what one detector takes.

    Takes ``dict(inputs={key: [one value per sample]}, data_samples=[...])`` as mmengine's ``pseudo_collate`` makes it
    (past_points, a list in every sample, becomes K lists of B clouds); B samples, T frames, N cameras. Only what the
    detector looks at goes to its device, and nothing that comes in is changed, so that the preprocessors of a
    student and its teacher can share one batch.

    ``modality='camera'`` returns ``inputs`` with imgs (B, T, N, 3, H, W) float32, normalised RGB; cam2img, cam2lidar
    and img_aug_matrix (B, T, N, 4, 4); lidar_aug_matrix (B, 4, 4); frame_exists (B, T); gt_depth (B, N, h, w) where
    the pipeline made it. Pictures travel as uint8 and are normalised on the device.

    ``modality='points'`` returns ``inputs`` with points, a list of B clouds, and voxels: dict of voxels (M, P, C),
    num_points (M,) and coors (M, 4), each (sample, z, y, x). With ``past=True`` the K past clouds of every sample are
    voxelised too, as further samples behind the current ones: frame k of sample b is sample ``B + k * B + b``; num_past
    is K and past_exists (B, K) says which of them are real. A sample without points has no voxels; the number of
    samples is ``len(points) * (1 + num_past)``, never the last entry of coors.

    Args:
        modality: ``'camera'`` or ``'points'``.
        mean: Mean of R, G, B in [0, 255].
        std: Standard deviation of R, G, B.
        voxel_layer: For points: arguments of mmdet3d's ``VoxelizationByGridShape`` (hard voxelisation): voxel_size,
            point_cloud_range, max_num_points, max_voxels (training, testing). All clouds are voxelised at once by
            :func:`mono_distill.ops.voxelize_batch`, with the result of mmcv's deterministic kernel on every device.
        past: Whether to fold in the past clouds.
        non_blocking: Whether copies to the device may run asynchronously, which they do from pinned memory.

    Raises:
        ConfigError: An argument is unknown or has the wrong length, or the grid does not fit its range.
    """

    mean: Tensor
    inverse_std: Tensor

    def __init__(
        self,
        modality: str = 'camera',
        mean: Sequence[float] = IMAGENET_MEAN,
        *,
        std: Sequence[float] = IMAGENET_STD,
        voxel_layer: Mapping[str, Any] | None = None,
        past: bool = False,
        non_blocking: bool = True,
    ) -> None:
        super().__init__(non_blocking=non_blocking)
        if modality not in ('camera', 'points'):
            raise ConfigError(f"BEVDataPreprocessor: modality must be 'camera' or 'points', got {modality!r}")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise ConfigError(f'BEVDataPreprocessor: mean and std need 3 values, std > 0, got {mean} and {std}')
        if modality == 'camera' and (voxel_layer is not None or past):
            raise ConfigError("BEVDataPreprocessor: voxel_layer and past belong to modality='points'")
        self.modality, self.past = modality, past
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        inverse = 1 / torch.tensor(std, dtype=torch.float64)
        self.register_buffer('inverse_std', inverse.float().view(3, 1, 1), persistent=False)
        self.voxel_layer = _voxel_layer(voxel_layer) if modality == 'points' else None

    def forward(self, data: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Move a collated batch to the device and bring it into the detector's form.

        Args:
            data: Collated samples, see the class.
            training: Unused; part of mmengine's interface.

        Raises:
            DataError: A key is missing in the batch or in some of its samples.
            ShapeError: Samples differ in the number of frames or cameras, in size, or in the number of past clouds.
        """
        samples = data.get('data_samples')
        prepared = self._camera_inputs if self.modality == 'camera' else self._point_inputs
        rest = self.cast_data({key: value for key, value in data.items() if key != 'inputs'})
        return {**rest, 'inputs': prepared(data['inputs'], samples), 'data_samples': rest.get('data_samples')}

    def _camera_inputs(self, inputs: Mapping[str, Any], samples: Sequence[Any] | None) -> dict[str, Any]:
        keys = [*_CAMERA_KEYS, *(['gt_depth'] if 'gt_depth' in inputs else [])]
        for key in keys:
            _check_present(inputs, key, samples)
        _check_cameras(inputs, samples)
        stacked = {key: self._to_device(_stack(inputs[key], key, samples)) for key in keys[1:]}
        # The pictures are copied one by one: a stack of them would have to leave the pinned memory they lie in.
        images = torch.stack([self._to_device(image) for image in inputs['imgs']])
        return {'imgs': self.normalize(images), **stacked}

    def normalize(self, images: Tensor) -> Tensor:
        """Return (..., 3, H, W) BGR pictures of [0, 255] as normalised RGB float32."""
        # The product reads uint8 and writes float32 in one pass; flipping before it moves a quarter of the bytes.
        return torch.mul(images.flip(-3), self.inverse_std).sub_(self.mean * self.inverse_std)

    def _point_inputs(self, inputs: Mapping[str, Any], samples: Sequence[Any] | None) -> dict[str, Any]:
        _check_present(inputs, 'points', samples)
        points = [self._to_device(cloud) for cloud in inputs['points']]
        _check_clouds(points, samples)
        if not self.past:
            return {'points': points, 'voxels': self.voxelize(points)}
        for key in ('past_points', 'past_exists'):
            _check_present(inputs, key, samples)
        exists = _stack(inputs['past_exists'], 'past_exists', samples)
        # pseudo_collate turns the samples' lists inside out: K lists of B clouds, which is the order wanted here.
        sizes = [len(clouds) for clouds in inputs['past_points']]
        if sizes != [len(points)] * exists.shape[1]:
            raise ShapeError(
                f'past_points: expected {exists.shape[1]} frames (past_exists) of {len(points)} clouds, as '
                f'pseudo_collate makes them, got frames of {sizes} clouds{_name(samples)}'
            )
        past = [self._to_device(cloud) for frame in inputs['past_points'] for cloud in frame]
        _check_clouds([*points, *past], samples)
        return {
            'points': points,
            'voxels': self.voxelize([*points, *past]),
            'num_past': exists.shape[1],
            'past_exists': self._to_device(exists),
        }

    @torch.no_grad()
    def voxelize(self, clouds: Sequence[Tensor]) -> dict[str, Tensor]:
        """Voxelise clouds; the first column of coors is the number of the cloud."""
        if self.voxel_layer is None:
            raise ConfigError("BEVDataPreprocessor: only modality='points' voxelises")
        return voxelize_by(self.voxel_layer, clouds)

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=self._non_blocking)


def _voxel_layer(options: Mapping[str, Any] | None) -> VoxelizationByGridShape:
    if options is None:
        raise ConfigError(
            "BEVDataPreprocessor: modality='points' needs a voxel_layer: dict(voxel_size, point_cloud_range, "
            'max_num_points, max_voxels)'
        )
    bounds, size = options.get('point_cloud_range', ()), options.get('voxel_size', ())
    if len(bounds) != 6 or len(size) != 3 or min(size) <= 0:
        raise ConfigError(
            'BEVDataPreprocessor: voxel_layer needs a point_cloud_range of 6 and a voxel_size of 3 positive numbers, '
            f'got {bounds} and {size}'
        )
    for axis, low, high, step in zip('xyz', bounds[:3], bounds[3:], size, strict=True):
        cells = (high - low) / step
        if cells < 1 or abs(cells - round(cells)) > 1e-3:
            raise ConfigError(
                f'BEVDataPreprocessor: voxels of {step} m do not divide the range {low} to {high} m of {axis} '
                f'({cells:.3f} voxels)'
            )
    limits = options.get('max_voxels', 20000)
    try:
        return VoxelizationByGridShape(
            **{**options, 'max_voxels': limits if isinstance(limits, int) else tuple(limits)}
        )
    except TypeError as error:
        raise ConfigError(f'BEVDataPreprocessor: voxel_layer: {error}') from error


def _check_present(inputs: Mapping[str, Any], key: str, samples: Sequence[Any] | None) -> None:
    """Check that every sample has ``key``; pseudo_collate leaves None, or a short list, where some lack it."""
    values = inputs.get(key)
    if values is None or any(value is None for value in values):
        cure = _CURES.get(key, 'mono_distill.LoadMultiViewImages')
        raise DataError(f'no {key} among the inputs {sorted(inputs)}{_name(samples)}; add {cure} to the pipeline')


def _check_cameras(inputs: Mapping[str, Any], samples: Sequence[Any] | None) -> None:
    shapes = [tuple(images.shape) for images in inputs['imgs']]
    if any(len(shape) != 5 or shape[2] != 3 for shape in shapes):
        raise ShapeError(f'imgs: expected (T, N, 3, H, W) per sample, got {shapes}{_name(samples)}')
    for what, part, cure in (
        ('number of frames', slice(0, 1), 'use one num_frames for all data sets'),
        ('number of cameras', slice(1, 2), 'a view of a sample is missing, or data sets with other rigs are mixed'),
        ('size', slice(3, 5), 'put mono_distill.MultiViewImageAug(size=(height, width)) into the pipeline'),
    ):
        if len({shape[part] for shape in shapes}) > 1:
            raise ShapeError(f'imgs: samples of one batch differ in {what}, {shapes}{_name(samples)}; {cure}')


def _check_clouds(clouds: Sequence[Tensor], samples: Sequence[Any] | None) -> None:
    shapes = [tuple(cloud.shape) for cloud in clouds]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) > 1:
        raise ShapeError(f'points: expected clouds (n, C) with one C, got {shapes}{_name(samples)}')


def _stack(values: Sequence[Tensor] | Tensor, key: str, samples: Sequence[Any] | None) -> Tensor:
    shapes = [tuple(value.shape) for value in values]
    if len(set(shapes)) > 1:
        raise ShapeError(f'{key}: samples of one batch differ in shape, {shapes}{_name(samples)}')
    return values if isinstance(values, Tensor) else torch.stack(list(values))


def _name(samples: Sequence[Any] | None) -> str:
    """Return ``' (samples ca9a…, 39ee…)'`` for messages."""
    metainfos = [sample.metainfo for sample in samples or ()]
    names = [str(metainfo.get('token', metainfo.get('sample_idx', '?'))) for metainfo in metainfos]
    return f' (samples {", ".join(names)})' if names else ''
