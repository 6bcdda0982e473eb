"""From image features to voxels of the LiDAR frame (CaDDN, CVPR 2021), one sampling plan for all networks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mono_distill.ops.depth_bins import depth_to_index
from mono_distill.ops.frustum_lift import FrustumLiftIndices, frustum_lift, frustum_lift_indices
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError

Borders = Literal['cells', 'image']

# Student and teaching assistant see the same batch one after the other; the second finds the plan of the first here.
_PLANS: OrderedDict[tuple[Any, ...], FrustumLiftIndices] = OrderedDict()
_KEPT_PLANS = 2


@MODELS.register_module()
class FrustumView(nn.Module):
    r"""Sample the outer product of features and depth distribution at the centres of a voxel grid.

    A voxel centre :math:`x` of the LiDAR frame is seen by the camera at :math:`(u, v)` in depth z, and takes its
    feature from there, trilinearly, with :func:`mono_distill.ops.frustum_lift`. Depth bins widen linearly (LID). Pixel
    coordinates are those of KITTI: integers are pixel centres, and a projection is divided by z, not by z + P2[2, 3] as
    in the official code (see :mod:`mono_distill.datasets.kitti.projection`).

    With ``borders='cells'`` a feature stands in the middle of its 8 x 8 pixels and a bin in the middle of its depths.
    The official code (CaDDN, CMKD, MonoTAKD: ``frustum_grid_generator.py``) divides pixels by the size of the image
    minus 1 and depth indices by D - 1: ``borders='image'``, within one feature pixel of the other, for their weights.

    The plan of sampling depends on calibrations, sizes and grid only. The last few are kept, keyed by their numbers and
    shared by all networks of the process.

    Args:
        point_cloud_range: x, y, z from and to, metres, LiDAR frame.
        voxels: Number of voxels (X, Y, Z).
        bins: Depth bins D.
        depth_range: Near edge of the first and far edge of the last bin, metres.
        downsample: Image pixels per feature.
        borders: ``'cells'`` or ``'image'``, see above.

    Raises:
        ConfigError: A range is empty or an option unknown.
    """

    def __init__(
        self,
        point_cloud_range: Sequence[float] = (2.0, -30.08, -3.0, 46.8, 30.08, 1.0),
        voxels: tuple[int, int, int] = (140, 188, 10),
        *,
        bins: int = 120,
        depth_range: tuple[float, float] = (2.0, 46.8),
        downsample: int = 8,
        borders: Borders = 'cells',
    ) -> None:
        super().__init__()
        low, high = tuple(point_cloud_range[:3]), tuple(point_cloud_range[3:])
        if len(low) != 3 or len(high) != 3 or any(not a < b for a, b in zip(low, high, strict=True)):
            raise ConfigError(f'FrustumView: point_cloud_range must be x, y, z from and to, got {point_cloud_range}')
        if len(voxels) != 3 or min(voxels) < 1 or downsample < 1:
            raise ConfigError(f'FrustumView: expected voxels (X, Y, Z) and downsample >= 1, got {voxels}, {downsample}')
        if borders not in get_args(Borders):
            raise ConfigError(f"FrustumView: borders must be 'cells' or 'image', got {borders!r}")
        # Raises for an empty range.
        depth_to_index(torch.zeros(1), depth_range=depth_range, bins=bins)
        self.point_cloud_range: tuple[float, ...] = (*low, *high)
        self.voxels = (int(voxels[0]), int(voxels[1]), int(voxels[2]))
        self.bins = bins
        self.depth_range = (float(depth_range[0]), float(depth_range[1]))
        self.downsample = downsample
        self.borders: Borders = borders

    def forward(self, context: Tensor, depth: Tensor, metas: Sequence[Mapping[str, Any]]) -> Tensor:
        """Lift a batch.

        Args:
            context: ``(B, C, h, w)`` image features.
            depth: ``(B, D, h, w)`` weights of the bins.
            metas: Of the samples, with ``lidar2cam``, ``cam2img`` (4, 4) and ``img_shape``.

        Returns:
            ``(B, C, Z, Y, X)``.
        """
        return frustum_lift(context, depth, self.plan(metas, (context.shape[2], context.shape[3]), context.device))

    def plan(
        self, metas: Sequence[Mapping[str, Any]], size: tuple[int, int], device: torch.device
    ) -> FrustumLiftIndices:
        """Return how the voxels of these samples are made of features.

        Args:
            metas: See :meth:`forward`.
            size: h and w of the features.
            device: Where they are.
        """
        matrices = _matrices(metas)
        image = tuple(max(int(meta['img_shape'][axis]) for meta in metas) for axis in (0, 1))
        # The size of the picture decides in the official form only.
        used = image if self.borders == 'image' else ()
        key = (matrices.tobytes(), len(metas), tuple(size), used, self._grid_key(), str(device))
        if key in _PLANS:
            _PLANS.move_to_end(key)
        else:
            coordinates = self.coordinates(torch.from_numpy(matrices).to(device), size, (image[0], image[1]))
            _PLANS[key] = frustum_lift_indices(coordinates.float(), (self.bins, *size))
            while len(_PLANS) > _KEPT_PLANS:
                _PLANS.popitem(last=False)
        return _PLANS[key]

    def coordinates(self, matrices: Tensor, size: tuple[int, int], image: tuple[int, int]) -> Tensor:
        """Say where in the frustum every voxel centre lies.

        Args:
            matrices: ``(B, 2, 4, 4)`` lidar2cam and cam2img, float64.
            size: h and w of the features.
            image: Height and width of the largest picture, unpadded.

        Returns:
            ``(B, Z, Y, X, 3)`` horizontal, vertical and depth position in the convention of ``grid_sample``.
        """
        points = self.voxel_centres(matrices.device, matrices.dtype)
        camera = points @ matrices[:, 0, :3, :3].transpose(1, 2) + matrices[:, 0, None, :3, 3]
        depth = camera[..., 2]
        pixels = camera @ matrices[:, 1, :2, :3].transpose(1, 2) + matrices[:, 1, None, :2, 3]
        # Points behind the camera belong to no pixel, although the division would give them one.
        pixels = torch.where(depth.unsqueeze(-1) > 0, pixels / depth.unsqueeze(-1), torch.nan)
        bins = depth_to_index(depth, depth_range=self.depth_range, bins=self.bins)
        if self.borders == 'image':
            sizes = matrices.new_tensor([image[1] - 1, image[0] - 1])
            places = torch.cat([pixels / sizes, bins.unsqueeze(-1) / max(self.bins - 1, 1)], -1)
        else:
            sizes = matrices.new_tensor([size[1], size[0]]) * self.downsample
            places = torch.cat([(pixels + 0.5) / sizes, bins.unsqueeze(-1) / self.bins], -1)
        x, y, z = self.voxels
        return (2 * places - 1).view(len(matrices), z, y, x, 3)

    def voxel_centres(self, device: torch.device | str = 'cpu', dtype: torch.dtype = torch.float64) -> Tensor:
        """Return the centres ``(Z * Y * X, 3)`` of the voxels, metres, LiDAR frame; x runs fastest."""
        axes = [
            low + (torch.arange(count, device=device, dtype=dtype) + 0.5) * ((high - low) / count)
            for low, high, count in zip(
                self.point_cloud_range[:3], self.point_cloud_range[3:], self.voxels, strict=True
            )
        ]
        z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing='ij')
        return torch.stack([x, y, z], -1).view(-1, 3)

    def _grid_key(self) -> tuple[Any, ...]:
        return self.point_cloud_range, self.voxels, self.bins, self.depth_range, self.downsample, self.borders

    def extra_repr(self) -> str:
        """Show the grid in ``repr``."""
        return (
            f'point_cloud_range={self.point_cloud_range}, voxels={self.voxels}, bins={self.bins}, '
            f'depth_range={self.depth_range}, downsample={self.downsample}, borders={self.borders!r}'
        )


def _matrices(metas: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Stack the (B, 2, 4, 4) matrices lidar2cam and cam2img."""
    for meta in metas:
        missing = [key for key in ('lidar2cam', 'cam2img', 'img_shape') if key not in meta]
        if missing:
            raise DataError(
                f'FrustumView: sample {meta.get("sample_id", "?")} has no {", ".join(missing)} in its metainfo; pack '
                'with mono_distill.PackKittiBEVInputs'
            )
    return np.array([[meta['lidar2cam'], meta['cam2img']] for meta in metas], dtype=np.float64)
