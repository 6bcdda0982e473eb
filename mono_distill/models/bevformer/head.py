"""Head of BEVFormer: classes and boxes of object queries."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.bevformer.coder import decode_queries
from mono_distill.models.bevformer.criterion import BEVFormerCriterion
from mono_distill.models.bevformer.decoder import DecodedObjects
from mono_distill.models.bevformer.geometry import checked_range
from mono_distill.models.monodetr.mlp import MLP
from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

PRIOR = 0.01
DEFAULT_TEST_CFG: dict[str, Any] = dict(
    max_num=300, score_thr=0.0, center_range=(-61.2, -61.2, -10.0, 61.2, 61.2, 10.0)
)


@MODELS.register_module()
class BEVFormerHead(BaseModule):
    """Branches of every decoder layer, losses and decoding.

    The code of a box is that of DETR3D: x, y, log length, log width, z, log height, sine and cosine of the yaw,
    velocity x, y; see :func:`mono_distill.ops.encode_box_code`. Lengths are along the heading, as in mmdet3d 1.x, z is
    the middle of the box. The code's centre is a share of ``point_range`` inside of the network and in metres outside.

    Args:
        num_classes: Classes K.
        in_channels: Channels C of the queries.
        num_layers: Layers L of the decoder.
        point_range: x, y, z of the lower and of the upper corner of where centres may lie, in metres.
        criterion: Options of :class:`BEVFormerCriterion`.
        train_cfg: Not used.
        test_cfg: ``max_num``, ``score_thr`` and ``center_range`` of :func:`decode_queries`.

    Raises:
        ConfigError: The range is empty or an option is unknown.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 256,
        *,
        num_layers: int = 6,
        point_range: Sequence[float] = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0),
        criterion: dict[str, Any] | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        for key in test_cfg or ():
            if key not in DEFAULT_TEST_CFG:
                raise ConfigError(
                    f'BEVFormerHead: test_cfg has no entry {key!r}; {did_you_mean(key, DEFAULT_TEST_CFG)}'
                )
        self.num_classes, self.in_channels, self.num_layers = num_classes, in_channels, num_layers
        self.point_range = checked_range(point_range)
        self.cls_branches = _clones(_class_branch(in_channels, num_classes), num_layers)
        self.bbox_branches = _clones(MLP(in_channels, in_channels, 10, num_layers=3), num_layers)
        self.criterion = BEVFormerCriterion(**(criterion or {}))
        self.test_cfg = {**DEFAULT_TEST_CFG, **(test_cfg or {})}

    def init_weights(self) -> None:
        """PyTorch's own initialisation, and rare classes."""
        super().init_weights()
        for branch in self.cls_branches:
            nn.init.constant_(list(branch.parameters())[-1], -math.log((1 - PRIOR) / PRIOR))

    def forward(self, objects: DecodedObjects) -> dict[str, Tensor]:
        """Classify the queries of every layer, in float32.

        Args:
            objects: Output of the decoder.

        Returns:
            ``logits`` (L, B, Q, K) and ``boxes`` (L, B, Q, 10), codes in metres.

        Raises:
            ShapeError: The queries are of another number of layers or channels.
        """
        hidden, codes = as_float32(objects.hidden), objects.codes
        if hidden.dim() != 4 or (hidden.shape[0], hidden.shape[-1]) != (self.num_layers, self.in_channels):
            raise ShapeError(
                f'BEVFormerHead: queries have shape {tuple(hidden.shape)}, expected '
                f'({self.num_layers}, B, Q, {self.in_channels}): num_layers and in_channels are those of the decoder.'
            )
        with torch.autocast(hidden.device.type, enabled=False):
            logits = torch.stack([branch(query) for branch, query in zip(self.cls_branches, hidden, strict=True)])
            x0, y0, z0, x1, y1, z1 = self.point_range
            x, y, z = (codes[..., index : index + 1] for index in (0, 1, 4))
            parts = [x * (x1 - x0) + x0, y * (y1 - y0) + y0, codes[..., 2:4], z * (z1 - z0) + z0, codes[..., 5:]]
            return dict(logits=logits, boxes=torch.cat(parts, dim=-1))

    def loss_by_feat(self, outs: Mapping[str, Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Compute the losses, see :class:`BEVFormerCriterion`.

        Args:
            outs: Output of :meth:`forward`.
            batch_data_samples: Annotated samples.
        """
        losses: dict[str, Tensor] = self.criterion(outs['logits'], outs['boxes'], gt_box_codes(batch_data_samples))
        return losses

    def predict_by_feat(self, outs: Mapping[str, Tensor]) -> list[InstanceData]:
        """Decode the queries of the last layer, see :func:`decode_queries`."""
        return decode_queries(outs['logits'][-1], outs['boxes'][-1], **self.test_cfg)


def _class_branch(channels: int, num_classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Linear(channels, channels), nn.LayerNorm(channels), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(channels, num_classes))


def _clones(module: nn.Module, count: int) -> nn.ModuleList:
    return nn.ModuleList(copy.deepcopy(module) for _ in range(count))
