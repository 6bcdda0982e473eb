"""The MonoDLE head (Ma et al., *Delving into Localization Errors for Monocular 3D Object Detection*, CVPR 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.dense_heads.base_mono3d_dense_head import BaseMono3DDenseHead
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32, global_avg_factors
from mono_distill.models.task_modules.center_geometry import depth_from_logit, gather_at
from mono_distill.models.task_modules.heading_bin_coder import NUM_HEADING_BINS
from mono_distill.models.task_modules.mono_center_coder import HEAT_EPS
from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.registry import MODELS, TASK_UTILS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

# Initial probability of 0.1 for every cell of the heatmap (CenterNet).
HEATMAP_BIAS = -2.19
DEPTH_MASKS = ('mask_3d', 'mask_2d')
DEFAULT_LOSSES: dict[str, dict[str, Any]] = dict(
    heatmap=dict(type='mmdet.GaussianFocalLoss', alpha=2.0, gamma=4.0),
    offset_2d=dict(type='mmdet.L1Loss'),
    size_2d=dict(type='mmdet.L1Loss'),
    depth=dict(type='mono_distill.LaplacianUncertaintyLoss', param='scale'),
    offset_3d=dict(type='mmdet.L1Loss'),
    size_3d=dict(type='mono_distill.DimAwareL1Loss'),
    heading=dict(type='mono_distill.HeadingBinLoss'),
)
DEFAULT_TEST_CFG = dict(topk=50, local_maximum_kernel=3, score_thr=0.2)


@MODELS.register_module()
class MonoDLEHead(BaseMono3DDenseHead):
    """Seven dense branches (conv3x3, ReLU, conv1x1) on the finest map of the neck.

    Args:
        num_classes: Classes.
        in_channels: Channels of the finest map.
        feat_channels: Width of each branch.
        target_encoder: Config of the encoder, by default :class:`CenterNetTargetEncoder` for ``num_classes``.
        bbox_coder: Config of the decoder, by default :class:`MonoCenterCoder`.
        losses: Configs that replace single entries of the default losses (``heatmap``, ``offset_2d``, ``size_2d``,
            ``depth``, ``offset_3d``, ``size_3d``, ``heading``), for example to change a ``loss_weight``.
        train_cfg: ``depth_mask``: objects that train the depth, ``'mask_3d'`` (default, MonoDLE: none of a randomly
            cropped image) or ``'mask_2d'`` (MonoDistill, MonoSTL: all, with the depth scaled by the crop).
        test_cfg: ``topk``, ``local_maximum_kernel`` and ``score_thr`` of :meth:`MonoCenterCoder.decode`.

    Raises:
        ConfigError: If ``losses``, ``train_cfg`` or ``test_cfg`` name something unknown.
    """

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 64,
        *,
        feat_channels: int = 256,
        target_encoder: dict[str, Any] | None = None,
        bbox_coder: dict[str, Any] | None = None,
        losses: dict[str, dict[str, Any]] | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.branches = dict(
            heatmap=num_classes, offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=2 * NUM_HEADING_BINS
        )
        for name, channels in self.branches.items():
            self.add_module(name, _branch(in_channels, feat_channels, channels))
        encoder = target_encoder or dict(type='mono_distill.CenterNetTargetEncoder')
        self.target_encoder = TASK_UTILS.build({'num_classes': num_classes, **encoder})
        self.bbox_coder = TASK_UTILS.build(bbox_coder or dict(type='mono_distill.MonoCenterCoder'))
        loss_cfgs = _merge('losses', DEFAULT_LOSSES, losses)
        self.losses = nn.ModuleDict({name: MODELS.build(cfg) for name, cfg in loss_cfgs.items()})
        self.depth_mask: str = _merge('train_cfg', dict(depth_mask='mask_3d'), train_cfg)['depth_mask']
        if self.depth_mask not in DEPTH_MASKS:
            hint = did_you_mean(self.depth_mask, DEPTH_MASKS)
            raise ConfigError(f'MonoDLEHead: unknown depth_mask {self.depth_mask!r}; {hint}')
        self.test_cfg = _merge('test_cfg', DEFAULT_TEST_CFG, test_cfg)

    def init_weights(self) -> None:
        """Official initialisation: N(0, 0.001) and zero bias, except PyTorch's default for the heatmap branch."""
        super().init_weights()
        for name in self.branches:
            first, _, last = getattr(self, name)
            if name == 'heatmap':
                nn.init.constant_(last.bias, HEATMAP_BIAS)
                continue
            for conv in (first, last):
                nn.init.normal_(conv.weight, std=0.001)
                nn.init.zeros_(conv.bias)

    def forward(self, feats: Sequence[Tensor]) -> dict[str, Tensor]:
        """Run all branches.

        Args:
            feats: Maps of the neck, fine to coarse; only the first (B, C, H, W) is used.

        Returns:
            Per branch a map (B, ., H, W): ``heatmap`` (logits), ``offset_2d``, ``size_2d``, ``offset_3d`` (cells),
            ``depth`` (raw depth, see :func:`depth_from_logit`, and the log scale of its uncertainty), ``size_3d`` (h,
            w, l in metres), ``heading`` (12 bin logits, 12 residuals in radians).

        Raises:
            ShapeError: If the map has another number of channels.
        """
        feat = feats[0]
        if feat.dim() != 4 or feat.shape[1] != self.in_channels:
            raise ShapeError(
                f'MonoDLEHead: the finest map has shape {tuple(feat.shape)}, expected (B, {self.in_channels}, H, W); '
                'in_channels must be the channels of the first map of the neck.'
            )
        outs = {name: getattr(self, name)(feat) for name in self.branches if name != 'depth'}
        return {**outs, 'depth': self._depth_branch(feat)}

    def _depth_branch(self, feat: Tensor) -> Tensor:
        """Run the depth branch with its last convolution in single precision.

        Depth is about exp(-output): one step of bfloat16 in the output is 1.6 to 3 % of the depth, 1.9 m at 60 m.
        """
        hidden = self.depth[:-1](feat)
        with torch.autocast(feat.device.type, enabled=False):
            return self.depth[-1](as_float32(hidden).to(self.depth[-1].weight.dtype))

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], **kwargs: Any) -> dict[str, Tensor]:
        """Run the branches and compute the losses of a batch of :class:`Det3DDataSample`."""
        outs = self(x)
        gt_instances = [sample.gt_instances_3d for sample in batch_data_samples]
        return self.loss_by_feat(outs, gt_instances, [sample.metainfo for sample in batch_data_samples])

    def loss_by_feat(
        self,
        outs: Mapping[str, Tensor],
        batch_gt_instances_3d: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
    ) -> dict[str, Tensor]:
        """Encode the annotations and compute the losses.

        Args:
            outs: Output of :meth:`forward`.
            batch_gt_instances_3d: See :class:`CenterNetTargetEncoder`.
            batch_img_metas: See :class:`CenterNetTargetEncoder`.

        Returns:
            Seven weighted losses, ``loss_<branch>``.
        """
        targets = self.target_encoder(batch_gt_instances_3d, batch_img_metas, outs['heatmap'].shape[-2:])
        labelled = [bool(meta.get('labelled', True)) for meta in batch_img_metas]
        if not all(labelled):
            targets = {**targets, 'labelled': host_values(labelled, like=targets['mask_2d'])}
        return self.loss_by_targets(outs, targets)

    def loss_by_targets(self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses from encoded targets, in float32 at least.

        Every loss is a mean over the valid objects of *all* ranks (the heatmap loss: over its peaks), so that the
        gradient that DDP averages is that of one process on the global batch. Images without objects only train the
        heatmap; every parameter receives a gradient, if only zero. Images whose annotations are unknown (metainfo
        ``labelled=False``) train nothing here: their empty lists of objects are no evidence of empty roads.

        Args:
            outs: Output of :meth:`forward`.
            targets: Output of the target encoder, with ``labelled`` (B,) bool if some images are not.

        Returns:
            Seven weighted losses, ``loss_<branch>``.
        """
        outs = {name: as_float32(value) for name, value in outs.items()}
        heat = outs['heatmap'].sigmoid().clamp(HEAT_EPS, 1 - HEAT_EPS)
        pred = {name: gather_at(value, targets['indices']) for name, value in outs.items() if name != 'heatmap'}
        mask_2d, mask_3d, mask_depth = targets['mask_2d'], targets['mask_3d'], targets[self.depth_mask]
        counts = [targets['heatmap'].eq(1).sum(), mask_2d.sum(), mask_3d.sum(), mask_depth.sum()]
        num_peaks, num_2d, num_3d, num_depth = global_avg_factors(torch.stack(counts)).unbind()
        raw_depth, log_scale = pred['depth'].unbind(-1)
        depth = depth_from_logit(raw_depth)
        heading_targets = (targets['heading_bin'], targets['heading_res'])
        return dict(
            loss_heatmap=self.losses['heatmap'](
                heat, targets['heatmap'], weight=_image_weight(targets), avg_factor=num_peaks
            ),
            loss_offset_2d=self._l1('offset_2d', pred, targets, mask_2d, num_2d),
            loss_size_2d=self._l1('size_2d', pred, targets, mask_2d, num_2d),
            loss_depth=self.losses['depth'](depth, log_scale, targets['depth'], mask_depth, avg_factor=num_depth),
            loss_offset_3d=self._l1('offset_3d', pred, targets, mask_3d, num_3d),
            loss_size_3d=self.losses['size_3d'](
                pred['size_3d'], targets['size_3d'], mask_3d, avg_factor=num_3d * pred['size_3d'].shape[-1]
            ),
            loss_heading=self.losses['heading'](pred['heading'], *heading_targets, mask_2d, avg_factor=num_2d),
        )

    def predict(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], **kwargs: Any) -> list[InstanceData]:
        """Run the branches and decode; boxes are always those of the original image (``rescale`` has no effect)."""
        return self.predict_by_feat(self(x), [sample.metainfo for sample in batch_data_samples])

    def predict_by_feat(
        self, outs: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> list[InstanceData]:
        """Decode the branches, see :meth:`MonoCenterCoder.decode`."""
        return self.bbox_coder.decode(outs, batch_img_metas, **self.test_cfg)

    def _l1(
        self, name: str, pred: Mapping[str, Tensor], targets: Mapping[str, Tensor], mask: Tensor, num_objects: Tensor
    ) -> Tensor:
        weight = mask.unsqueeze(-1).expand_as(pred[name]).to(pred[name].dtype)
        return self.losses[name](pred[name], targets[name], weight, avg_factor=num_objects * pred[name].shape[-1])


def _image_weight(targets: Mapping[str, Tensor]) -> Tensor | None:
    """Weight of the images' heatmaps (B, 1, 1, 1): 0 where annotations are unknown; None if all are known."""
    labelled = targets.get('labelled')
    return None if labelled is None else labelled.float().view(-1, 1, 1, 1)


def _branch(in_channels: int, feat_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, feat_channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(feat_channels, out_channels, 1),
    )


def _merge(option: str, defaults: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``defaults`` with the entries of ``given`` in place, which must exist there."""
    for key in given or ():
        if key not in defaults:
            raise ConfigError(f'MonoDLEHead: {option} has no entry {key!r}; {did_you_mean(key, defaults)}')
    return {**defaults, **(given or {})}
