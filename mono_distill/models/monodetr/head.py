"""The query head of MonoDETR (Zhang et al., *MonoDETR: Depth-guided Transformer for Monocular 3D Object Detection*)."""

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
from mono_distill.models.monodetr.decoder import DecodedQueries
from mono_distill.models.monodetr.depth_fusion import DEPTH_GEOMETRIES, fuse_depths, read_cameras
from mono_distill.models.monodetr.depth_predictor import DepthPrediction
from mono_distill.models.monodetr.mlp import MLP
from mono_distill.models.task_modules.heading_bin_coder import NUM_HEADING_BINS
from mono_distill.models.task_modules.monodetr_criterion import MonoDETRCriterion
from mono_distill.registry import MODELS, TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError, did_you_mean

# Initial probability of every class, as in RetinaNet.
PRIOR = 0.01
# Initial distances from the centre to the sides of the 2D box: sigmoid(-2) = 0.12 of the image.
SIZE_BIAS = -2.0
DEFAULT_TEST_CFG = dict(topk=50, score_thr=0.2)


@MODELS.register_module()
class MonoDETRHead(BaseModule):
    """Five branches on every query of every decoder layer, and the fusion of three depths.

    Each decoder layer has branches of its own; they start equal. The decoder has applied the box branches already,
    because every layer looks where the one before put the box.

    Args:
        num_classes: Classes C.
        in_channels: Channels of the queries.
        num_layers: Decoder layers L.
        num_queries: Queries of a group.
        depth_geometry: How the height of a 2D box in pixels becomes a depth. ``'exact'`` (default) takes the focal
            length and the height of the input picture, ``'official'`` those of the original image, as the released
            code does: its resize keeps the aspect ratio and cuts some rows, which makes the geometric depth of KITTI
            images 0.65 % larger. For released weights.
        target_encoder: Config of the encoder, by default :class:`MonoDETRTargetEncoder` for ``num_classes``.
        bbox_coder: Config of the decoder, by default :class:`MonoDETRCoder`.
        losses: See :class:`MonoDETRCriterion`.
        train_cfg: ``assigner``: config of the matching, by default :class:`GroupHungarianAssigner`.
        test_cfg: ``topk`` and ``score_thr`` of :meth:`MonoDETRCoder.decode`.

    Raises:
        ConfigError: If an option is unknown.
    """

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 256,
        *,
        num_layers: int = 3,
        num_queries: int = 50,
        depth_geometry: str = 'exact',
        target_encoder: dict[str, Any] | None = None,
        bbox_coder: dict[str, Any] | None = None,
        losses: dict[str, dict[str, Any]] | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if depth_geometry not in DEPTH_GEOMETRIES:
            raise ConfigError(
                f'MonoDETRHead: unknown depth_geometry {depth_geometry!r}; '
                f'{did_you_mean(depth_geometry, DEPTH_GEOMETRIES)}'
            )
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.num_layers = num_layers
        self.depth_geometry = depth_geometry

        def branches(out_channels: int, layers: int = 2) -> nn.ModuleList:
            return _clones(MLP(in_channels, in_channels, out_channels, num_layers=layers), num_layers)

        self.cls_branches = _clones(nn.Linear(in_channels, num_classes), num_layers)
        self.bbox_branches = branches(6, 3)
        self.dim_branches = branches(3)
        self.angle_branches = branches(2 * NUM_HEADING_BINS)
        self.depth_branches = branches(2)

        assigner = _merge('train_cfg', dict(assigner={}), train_cfg)['assigner']
        self.target_encoder = _task('MonoDETRTargetEncoder', target_encoder, num_classes=num_classes)
        self.assigner = _task('GroupHungarianAssigner', assigner, num_queries=num_queries)
        self.criterion = MonoDETRCriterion(losses)
        self.bbox_coder = _task('MonoDETRCoder', bbox_coder)
        self.test_cfg = _merge('test_cfg', DEFAULT_TEST_CFG, test_cfg)

    def init_weights(self) -> None:
        """Official initialisation: PyTorch's own, rare classes, and first boxes of a quarter of the image."""
        super().init_weights()
        for branch in self.cls_branches:
            nn.init.constant_(branch.get_parameter('bias'), -math.log((1 - PRIOR) / PRIOR))
        nn.init.constant_(self.bbox_branches[0].get_parameter('layers.2.bias')[2:], SIZE_BIAS)

    def forward(
        self, queries: DecodedQueries, depth: DepthPrediction, batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> dict[str, Tensor]:
        """Run all branches in float32: half precision would round positions to pixels and depths to metres.

        Args:
            queries: Output of the decoder.
            depth: Output of the depth predictor.
            batch_img_metas: See :func:`mono_distill.models.monodetr.depth_fusion.read_cameras`.

        Returns:
            For L layers (the last is the result), B images and Q queries: ``cls_scores`` (L, B, Q, C) logits;
            ``bboxes`` (L, B, Q, 6) projected 3D centre x, y and distances to the left, right, top and bottom side of
            the 2D box, as shares of the input's width and height; ``dims`` (L, B, Q, 3) h, w, l in metres; ``depth``
            (L, B, Q, 2) metres and the log scale of its uncertainty; ``heading`` (L, B, Q, 24), 12 bin logits and 12
            residuals in radians. And ``depth_logits`` (B, 81, h, w) and ``weighted_depth`` (B, h, w) metres.

        Raises:
            ShapeError: The queries are of another number of layers or channels, or a camera matrix is malformed.
            DataError: A meta key is missing, or a focal length is not positive.
        """
        hidden, bboxes = as_float32(queries.hidden), queries.bboxes
        if hidden.dim() != 4 or (hidden.shape[0], hidden.shape[-1]) != (self.num_layers, self.in_channels):
            raise ShapeError(
                f'MonoDETRHead: queries have shape {tuple(hidden.shape)}, expected '
                f'({self.num_layers}, B, Q, {self.in_channels}): num_layers and in_channels are those of the decoder.'
            )
        with torch.autocast(hidden.device.type, enabled=False):
            dims = _per_layer(self.dim_branches, hidden)
            raw_depth, log_scale = _per_layer(self.depth_branches, hidden).unbind(-1)
            cameras = read_cameras(batch_img_metas, self.depth_geometry, like=hidden)
            metres = fuse_depths(raw_depth, dims, bboxes, weighted_depth=depth.weighted_depth, cameras=cameras)
            return dict(
                cls_scores=_per_layer(self.cls_branches, hidden),
                bboxes=bboxes,
                dims=dims,
                depth=torch.stack([metres, log_scale], dim=-1),
                heading=_per_layer(self.angle_branches, hidden),
                depth_logits=depth.logits,
                weighted_depth=depth.weighted_depth,
            )

    def encode(self, batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Encode the annotations of a batch of :class:`Det3DDataSample`, see :class:`MonoDETRTargetEncoder`.

        Raises:
            DataError: A sample has no annotations.
        """
        for sample in batch_data_samples:
            if 'gt_instances_3d' not in sample:
                raise DataError(
                    f'MonoDETRHead: {sample.metainfo.get("img_path", "a sample")} has no gt_instances_3d; add '
                    'mono_distill.LoadMonoKittiAnnotations to the pipeline.'
                )
        metas = [sample.metainfo for sample in batch_data_samples]
        targets: dict[str, Tensor] = self.target_encoder(
            [sample.gt_instances_3d for sample in batch_data_samples], metas
        )
        return targets

    def loss_by_feat(self, outs: Mapping[str, Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Encode the annotations, match queries with objects and compute the losses.

        Args:
            outs: Output of :meth:`forward`.
            batch_data_samples: Annotated samples.

        Returns:
            See :class:`MonoDETRCriterion`.
        """
        return self.loss_by_targets(outs, self.encode(batch_data_samples))[0]

    def loss_by_targets(
        self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Match queries with objects and compute the losses.

        Args:
            outs: Output of :meth:`forward`.
            targets: Output of :meth:`encode`.

        Returns:
            The losses, see :class:`MonoDETRCriterion`, and the matching, see :class:`GroupHungarianAssigner`.
        """
        assignment = self.assigner(outs, targets)
        return self.criterion(outs, targets, assignment), assignment

    def predict_by_feat(
        self, outs: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> list[InstanceData]:
        """Decode the queries of the last layer, see :meth:`MonoDETRCoder.decode`."""
        results: list[InstanceData] = self.bbox_coder.decode(outs, batch_img_metas, **self.test_cfg)
        return results


def _task(name: str, config: Mapping[str, Any] | None, **defaults: Any) -> Any:
    return TASK_UTILS.build({'type': f'mono_distill.{name}', **defaults, **(config or {})})


def _merge(option: str, defaults: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``defaults`` with the entries of ``given`` in place, which must exist there."""
    for key in given or ():
        if key not in defaults:
            raise ConfigError(f'MonoDETRHead: {option} has no entry {key!r}; {did_you_mean(key, defaults)}')
    return {**defaults, **(given or {})}


def _clones(module: nn.Module, count: int) -> nn.ModuleList:
    return nn.ModuleList(copy.deepcopy(module) for _ in range(count))


def _per_layer(branches: nn.ModuleList, hidden: Tensor) -> Tensor:
    """Apply each layer's branch to its queries (L, B, Q, C)."""
    return torch.stack([branch(queries) for branch, queries in zip(branches, hidden, strict=True)])
