"""Parts of PointPillars that encode many clouds at once; parameters and results are those of mmdet3d's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmdet3d.models.middle_encoders import PointPillarsScatter
from mmdet3d.models.voxel_encoders import PillarFeatureNet
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.models.watched import is_watched


class LeanPillarFeatureNet(PillarFeatureNet):
    """mmdet3d's ``PillarFeatureNet``, with less memory moved where nothing is trained.

    There the normalisation is part of the linear layer, and the rectifier follows the maximum: of the tensor of all
    slots of all pillars, the largest of a teacher's forward pass, one copy is written and read instead of five. The
    result differs by rounding. In training, with gradients, for other options than those of CenterPoint, and where a
    hook or a tap listens to one of its layers, the form is mmdet3d's.
    """

    def forward(self, features: Tensor, num_points: Tensor, coors: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Encode pillars.

        Args:
            features: ``(V, P, C)`` points, zeros behind them.
            num_points: ``(V,)``.
            coors: ``(V, 4)`` sample, z, y, x.
            args: Not used.
            kwargs: Not used.

        Returns:
            ``(V, channels)``.
        """
        if self.training or torch.is_grad_enabled() or not self._is_plain:
            encoded: Tensor = super().forward(features, num_points, coors, *args, **kwargs)
            return encoded
        layer = self.pfn_layers[0]
        norm = layer.norm
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        slots = F.linear(
            self._decorated(features, num_points, coors),
            layer.linear.weight * scale.unsqueeze(1),
            norm.bias - norm.running_mean * scale,
        )
        return slots.amax(1).relu()

    @property
    def _is_plain(self) -> bool:
        """Whether the options are those of CenterPoint."""
        layer, options = self.pfn_layers[0], (self._with_cluster_center, self._with_voxel_center, self._with_distance)
        norm = layer.norm
        plain = options == (True, True, False) and not self.legacy and len(self.pfn_layers) == 1
        kept = isinstance(norm, nn.BatchNorm1d) and norm.affine and norm.track_running_stats
        return plain and kept and not norm.training and not is_watched(layer) and layer.mode == 'max'

    def _decorated(self, points: Tensor, num_points: Tensor, coors: Tensor) -> Tensor:
        """Points with their distance from the mean and from the centre of the pillar; zeros in empty slots."""
        xyz = points[..., :3]
        mean = xyz.sum(1, keepdim=True) / num_points.type_as(points).view(-1, 1, 1)
        z, y, x = coors[:, 1:].to(points.dtype).unbind(1)
        centre = [x * self.vx + self.x_offset, y * self.vy + self.y_offset, z * self.vz + self.z_offset]
        decorated = torch.cat([points, xyz - mean, xyz - torch.stack(centre, 1).unsqueeze(1)], dim=-1)
        filled = torch.arange(points.shape[1], device=points.device) < num_points.unsqueeze(1)
        return decorated * filled.unsqueeze(2)


class BatchPillarsScatter(PointPillarsScatter):
    """mmdet3d's ``PointPillarsScatter`` for a batch, without its loop, in which the host waits for every sample.

    The map is in channels-last order, as the pillars are: writing them needs no transposed copy, and convolutions,
    which pass the order on, are faster in it. With :class:`LeanPillarFeatureNet`, a frozen CenterPoint takes half the
    time up to its backbone (``benchmarks/results/kernels.md``).
    """

    def forward_batch(self, voxel_features: Tensor, coors: Tensor, batch_size: int) -> Tensor:
        """Write the pillars to a map.

        Args:
            voxel_features: ``(V, C)``.
            coors: ``(V, 4)`` sample, z, y, x.
            batch_size: Number of samples B.

        Returns:
            ``(B, C, H, W)``, channels last in memory.
        """
        canvas = voxel_features.new_zeros(batch_size, self.ny * self.nx, self.in_channels)
        sample, _, row, column = coors.long().unbind(1)
        canvas.index_put_((sample, row * self.nx + column), voxel_features)
        return canvas.view(batch_size, self.ny, self.nx, self.in_channels).permute(0, 3, 1, 2)


_LEAN: dict[Any, type] = {
    'PillarFeatureNet': LeanPillarFeatureNet,
    PillarFeatureNet: LeanPillarFeatureNet,
    'PointPillarsScatter': BatchPillarsScatter,
    PointPillarsScatter: BatchPillarsScatter,
}


def lean_part(config: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the type of a part of PointPillars, where it is mmdet3d's, by the one of this file.

    Example:
        >>> lean_part(dict(type='PointPillarsScatter', in_channels=4))['type'].__name__
        'BatchPillarsScatter'
    """
    kind = config.get('type')
    name = kind.removeprefix('mmdet3d.') if isinstance(kind, str) else kind
    return {**config, 'type': _LEAN[name]} if name in _LEAN else dict(config)
