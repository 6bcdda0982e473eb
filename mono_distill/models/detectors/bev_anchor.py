"""What anchor detectors on one bird's-eye-view grid share, whatever they look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet3d.models.detectors import Base3DDetector
from torch import Tensor

from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.utils.errors import ConfigError, ShapeError


class BEVAnchorDetector(Base3DDetector):
    """Losses, predictions and the check of the grid; derived classes say how the BEV features come about.

    Args:
        point_cloud_range: x, y, z from and to, metres, LiDAR frame, of the grid.
        bev_size: Rows (y) and columns (x) of the BEV features and of the anchors.
        data_preprocessor: See mmengine.
        init_cfg: See mmengine.
    """

    outputs: tuple[str, ...] = ()
    bbox_head: Any

    def __init__(
        self,
        point_cloud_range: Sequence[float],
        bev_size: tuple[int, int],
        *,
        data_preprocessor: Mapping[str, Any] | None = None,
        init_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.point_cloud_range = tuple(float(value) for value in point_cloud_range)
        self.bev_size = (int(bev_size[0]), int(bev_size[1]))
        self._outputs = OutputRecord()

    def bev_layout(self) -> dict[str, Any]:
        """Return what networks must agree on whose BEV features are compared, see ``BEVGridCheckHook``."""
        return {'point_cloud_range': self.point_cloud_range, 'bev_size': self.bev_size}

    def check_anchors(self) -> None:
        """Compare the anchors' plane with the grid.

        Raises:
            ConfigError: They differ.
        """
        x_from, y_from, _, x_to, y_to, _ = self.point_cloud_range
        for low_x, low_y, _, high_x, high_y, _ in self.bbox_head.prior_generator.ranges:
            if (low_x, low_y, high_x, high_y) != (x_from, y_from, x_to, y_to):
                raise ConfigError(
                    f'{type(self).__name__}: anchors from ({low_x}, {low_y}) to ({high_x}, {high_y}) m on a grid from '
                    f'({x_from}, {y_from}) to ({x_to}, {y_to}) m; set bbox_head.anchor_generator.ranges to the grid'
                )

    def check_bev(self, bev: Tensor) -> Tensor:
        """Return the map if it has the size of the grid.

        Raises:
            ShapeError: It has another.
        """
        if tuple(bev.shape[-2:]) != self.bev_size:
            raise ShapeError(
                f'{type(self).__name__}: the BEV features have {tuple(bev.shape[-2:])} rows and columns, bev_size is '
                f'{self.bev_size}; make range, voxel size and strides fit'
            )
        return bev

    def distill_outputs(self) -> dict[str, Any]:
        """Return the named tensors of the last forward pass; before the first pass the names, without values."""
        return dict(self._outputs) or dict.fromkeys(self.outputs)

    def loss(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the head's losses; see mmdet3d."""
        features = self.extract_feat(batch_inputs_dict, batch_data_samples)
        losses: dict[str, Tensor] = self.bbox_head.loss(features, batch_data_samples, **kwargs)
        return losses

    def predict(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> Sequence[Any]:
        """Fill ``pred_instances_3d`` with LiDAR boxes; see mmdet3d."""
        features = self.extract_feat(batch_inputs_dict, batch_data_samples)
        results = self.bbox_head.predict(features, batch_data_samples, **kwargs)
        filled: Sequence[Any] = self.add_pred_to_datasample(batch_data_samples, results)
        return filled

    def _forward(
        self, batch_inputs_dict: Mapping[str, Any], batch_data_samples: Sequence[Any] | None = None, **kwargs: Any
    ) -> tuple[list[Tensor], ...]:
        outs: tuple[list[Tensor], ...] = self.bbox_head(self.extract_feat(batch_inputs_dict, batch_data_samples))
        return outs
