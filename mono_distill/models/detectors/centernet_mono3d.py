"""Monocular 3D detector with a CenterNet-style head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmdet3d.models.detectors import SingleStageMono3DDetector
from torch import Tensor

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError


@MODELS.register_module()
class CenterNetMono3D(SingleStageMono3DDetector):
    """Backbone, neck and a head whose output is a dict (:class:`MonoDLEHead`, :class:`DIDHead`).

    The modality is the preprocessor's business: with ``Mono3DDataPreprocessor(modality='depth')`` the same detector is
    a LiDAR teacher. Constructor arguments are those of mmdet's single-stage detectors: ``backbone``, ``neck``,
    ``bbox_head``, ``train_cfg``, ``test_cfg``, ``data_preprocessor``, ``init_cfg``. Module paths for distillation:
    ``backbone``, ``neck`` (maps fine to coarse), ``bbox_head`` (dict) and ``bbox_head.target_encoder`` (targets).

    ``loss`` returns the head's losses, ``predict`` fills ``pred_instances_3d`` of the data samples, and mode
    ``'tensor'`` returns the head's dict. A head that needs to know cameras or objects (``forward_samples``) is given
    the data samples in that mode; without them it returns what it can say from the maps alone.
    """

    def extract_feat(self, batch_inputs_dict: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Compute the maps the head works on.

        Args:
            batch_inputs_dict: Holds ``imgs`` (B, 3, H, W).

        Returns:
            Maps (B, C_i, H_i, W_i), fine to coarse.

        Raises:
            ConfigError: If there is no ``imgs``.
        """
        if 'imgs' not in batch_inputs_dict:
            raise ConfigError(
                f"CenterNetMono3D: the inputs are {sorted(batch_inputs_dict)}, expected 'imgs'; use the data "
                'preprocessor mono_distill.Mono3DDataPreprocessor.'
            )
        feats: Any = self.backbone(batch_inputs_dict['imgs'])
        return self.neck(feats) if self.with_neck else feats

    def _forward(
        self, batch_inputs_dict: Mapping[str, Tensor], data_samples: Sequence[Any] | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Return the head's dict; the head is called, not its ``forward``, so that taps see it."""
        feats = self.extract_feat(batch_inputs_dict)
        if data_samples and hasattr(self.bbox_head, 'forward_samples'):
            outs: dict[str, Tensor] = self.bbox_head.forward_samples(feats, data_samples)
        else:
            outs = self.bbox_head(feats)
        return outs
