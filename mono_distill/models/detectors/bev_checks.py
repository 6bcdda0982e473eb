"""Checks of a multi-view detector's parts against each other, and of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mono_distill.models.view_transformers.bounds import BEVGrid
from mono_distill.models.view_transformers.frustum import check_matrices
from mono_distill.utils.errors import ConfigError, ShapeError

_TOLERANCE = 1e-3
_GRID_KEYS = ('grid_size', 'point_cloud_range', 'voxel_size', 'out_size_factor')


def check_head_grid(grid: BEVGrid, cfg: Mapping[str, Any] | None) -> None:
    """Raise :class:`ConfigError` if the head's targets lie on another grid than the map.

    Args:
        grid: Of the view transformer.
        cfg: ``train_cfg`` of the head; without one, or without a grid in it, nothing is checked.
    """
    if cfg is None or any(key not in cfg for key in _GRID_KEYS):
        return
    factor = cfg['out_size_factor']
    for axis, name, limits in ((0, 'x', grid.x_range), (1, 'y', grid.y_range)):
        low = cfg['point_cloud_range'][axis]
        high = low + cfg['grid_size'][axis] // factor * factor * cfg['voxel_size'][axis]
        if abs(low - limits[0]) > _TOLERANCE or abs(high - limits[1]) > _TOLERANCE:
            raise ConfigError(
                f'the head ranges over {low:g} to {high:g} m in {name} (point_cloud_range, grid_size and voxel_size of '
                f'its train_cfg), but the view transformer over {limits[0]:g} to {limits[1]:g} m; use one range.'
            )


def check_images(inputs: Mapping[str, Tensor], num_frames: int) -> None:
    """Raise an error if images and matrices do not fit each other or the number of frames.

    Args:
        inputs: ``imgs`` ``(B, T, N, 3, H, W)`` and the matrices.
        num_frames: Frames that the detector looks at.

    Raises:
        ConfigError: There are no images, no matrices, or too few frames.
        ShapeError: Batch, frames or cameras of images and matrices differ.
    """
    if 'imgs' not in inputs:
        raise ConfigError(
            f"multi-view detector: the inputs are {sorted(inputs)}, expected 'imgs'; use the data preprocessor "
            "mono_distill.BEVDataPreprocessor(modality='camera')."
        )
    images = inputs['imgs']
    batch, frames, cameras = check_matrices(inputs)
    if images.dim() != 6 or images.shape[:3] != (batch, frames, cameras):
        raise ShapeError(
            f'multi-view detector: imgs {tuple(images.shape)}, expected (B, T, N, 3, H, W) with (B, T, N) = '
            f'{(batch, frames, cameras)} as in cam2img; every camera needs its image and its matrices.'
        )
    if frames < num_frames:
        raise ConfigError(
            f'multi-view detector: num_frames={num_frames}, but the samples have {frames}; use '
            f'mono_distill.LoadMultiViewImages(num_frames={num_frames}), which repeats the current frame where there '
            'is no previous one.'
        )


def check_levels(images: Tensor, levels: Sequence[Tensor]) -> None:
    """Raise :class:`ShapeError` if a level of the backbone does not divide the images without rest.

    Args:
        images: ``(..., H, W)``.
        levels: ``(..., h_i, w_i)``.
    """
    height, width = images.shape[-2:]
    for level in levels:
        if height % level.shape[-2] or width % level.shape[-1]:
            stride = max(round(height / level.shape[-2]), round(width / level.shape[-1]))
            raise ShapeError(
                f'multi-view detector: images of {height}x{width} pixels do not divide into a level of '
                f'{level.shape[-2]}x{level.shape[-1]} cells; give MultiViewImageAug a size that is a multiple of '
                f'{stride}.'
            )


def check_feature_size(images: Tensor, features: Tensor, downsample: int) -> None:
    """Raise :class:`ShapeError` unless the features have exactly one cell per ``downsample`` pixels.

    Args:
        images: ``(..., H, W)``.
        features: ``(..., h, w)``.
        downsample: Of the view transformer.
    """
    size, cells = tuple(images.shape[-2:]), tuple(features.shape[-2:])
    if size != (cells[0] * downsample, cells[1] * downsample):
        raise ShapeError(
            f'multi-view detector: images of {size[0]}x{size[1]} pixels give features of {cells[0]}x{cells[1]} cells, '
            f'which at downsample={downsample} are {cells[0] * downsample}x{cells[1] * downsample} pixels. Use image '
            'sizes that the backbone divides without rest, and the downsample of the neck.'
        )
