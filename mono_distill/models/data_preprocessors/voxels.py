"""Voxels of a batch by the options of mmdet3d's layer."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet3d.models.data_preprocessors.voxelize import VoxelizationByGridShape
from torch import Tensor

from mono_distill.ops.voxelize_batch import voxelize_batch


def voxelize_by(layer: VoxelizationByGridShape, clouds: Sequence[Tensor]) -> dict[str, Tensor]:
    """Voxelise a batch as a voxel layer of mmdet3d does cloud by cloud; see :func:`mono_distill.ops.voxelize_batch`.

    Args:
        layer: Holds the options; in training its first limit of voxels counts, otherwise the second.
        clouds: ``(n, C)`` each.

    Returns:
        ``voxels`` ``(M, P, C)``, ``num_points`` ``(M,)`` and ``coors`` ``(M, 4)``: cloud, z, y, x.

    Example:
        >>> import torch
        >>> layer = VoxelizationByGridShape([0.0, 0.0, 0.0, 4.0, 4.0, 4.0], 2, [1.0, 1.0, 4.0], max_voxels=(9, 9))
        >>> voxelize_by(layer, [torch.ones(3, 4)])['num_points']
        tensor([2], dtype=torch.int32)
    """
    return voxelize_batch(
        clouds,
        voxel_size=layer.voxel_size,
        point_cloud_range=layer.point_cloud_range,
        max_num_points=layer.max_num_points,
        max_voxels=layer.max_voxels[0 if layer.training else 1],
    )
