"""The DID-M3D head (Peng et al., *DID-M3D: Decoupling Instance Depth for Monocular 3D Object Detection*, ECCV 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.dense_heads.base_mono3d_dense_head import BaseMono3DDenseHead
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.dense_heads.did_losses import DEFAULT_LOSSES, did_losses, outputs_at
from mono_distill.models.dense_heads.did_roi import (
    BIN_BRANCHES,
    NUM_COORDINATES,
    POOLED_BRANCHES,
    RoIs,
    bin_branch,
    pooled_branch,
    read_rois,
    run_branches,
    used_slots,
)
from mono_distill.models.dense_heads.monodle_head import HEATMAP_BIAS
from mono_distill.models.dense_heads.sparse_branch import run_at_cells
from mono_distill.models.task_modules.did_geometry import PixelGeometryReader
from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.models.task_modules.task_weights import TaskWeights
from mono_distill.registry import MODELS, TASK_UTILS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

# Mean h, w, l in metres of KITTI's Pedestrian, Car and Cyclist (lib/models/DID.py and lib/datasets/kitti.py).
MEAN_SIZES = (
    (1.76255119, 0.66068622, 0.84422524),
    (1.52563191462, 1.62856739989, 3.88311640418),
    (1.73698127, 0.59706367, 1.76282397),
)
DEFAULT_TEST_CFG = dict(topk=50, local_maximum_kernel=3, score_thr=0.2)


@MODELS.register_module()
class DIDHead(BaseMono3DDenseHead):
    r"""A dense first stage that finds 2D boxes, and seven branches that look into each.

    The first stage (heatmap, 2D offset, 2D size) works on the finest map of the neck. The second pools its features in
    the *predicted* 2D boxes (RoIAlign, bins x bins), adds the viewing rays of the bins and the class, and predicts 3D
    offset, 3D size and heading per object, and per bin a visual depth (of the surface that is seen there) and an
    attribute depth (from there to the object's centre), each with the log variance of its Laplace distribution. The
    instance depth is their sum, its log variance the logsumexp of theirs. The visual depth is :math:`e^{-x} \sigma`,
    with the magnification :math:`\sigma` of the input over the image, so that it is in true metres under a crop.

    In training the boxes are those predicted at the annotated objects, in evaluation those at the highest peaks.

    Args:
        num_classes: Classes.
        in_channels: Channels of the finest map.
        feat_channels: Width of each branch.
        mean_sizes: Mean h, w, l of each class in metres, to which the second stage adds.
        bins: Rows and columns of bins of a box.
        detach_rois: Keep the losses of the second stage from moving the boxes through their coordinates, which the
            released code (``lib/models/DID.py``) lets them do. By default as released.
        sparse_2d: Whether :meth:`loss` computes 2D offset and size only where an object is, which is all that their
            losses read: the same gradients for a third of the work, but no maps to distil.
        pixel_mode: ``'exact'``, or ``'official'`` for released weights, see :class:`PixelGeometryReader`.
        target_encoder: Config of the encoder, by default :class:`DIDTargetEncoder` for ``num_classes``.
        bbox_coder: Config of the decoder, by default :class:`DIDCenterCoder` with ``pixel_mode`` as ``decode_mode``.
        losses: Configs that replace single entries of the default losses (``heatmap``, ``offset_2d``, ``size_2d``,
            ``depth``, ``offset_3d``, ``size_3d``, ``heading``). All objects train everything.
        train_cfg: Unused, part of the interface.
        test_cfg: ``topk``, ``local_maximum_kernel`` and ``score_thr``.

    Raises:
        ConfigError: If ``losses`` or ``test_cfg`` name something unknown, or ``mean_sizes`` does not fit.
    """

    mean_size: Tensor

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 64,
        *,
        feat_channels: int = 256,
        mean_sizes: Sequence[Sequence[float]] = MEAN_SIZES,
        bins: int = 7,
        detach_rois: bool = False,
        sparse_2d: bool = False,
        pixel_mode: str = 'exact',
        target_encoder: dict[str, Any] | None = None,
        bbox_coder: dict[str, Any] | None = None,
        losses: dict[str, dict[str, Any]] | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if len(mean_sizes) != num_classes or any(len(size) != 3 for size in mean_sizes):
            raise ConfigError(
                f'DIDHead: mean_sizes needs h, w, l of each of the {num_classes} classes, got {mean_sizes}; set it '
                'with num_classes (a checkpoint brings its own values)'
            )
        self.num_classes, self.in_channels, self.bins = num_classes, in_channels, bins
        self.detach_rois, self.sparse_2d = detach_rois, sparse_2d
        self.register_buffer('mean_size', torch.tensor(mean_sizes, dtype=torch.float32))
        self._add_branches(feat_channels)
        self.geometry = PixelGeometryReader(pixel_mode)
        encoder = target_encoder or dict(type='mono_distill.DIDTargetEncoder')
        self.target_encoder = TASK_UTILS.build({'num_classes': num_classes, **encoder})
        self.bbox_coder = TASK_UTILS.build(
            bbox_coder or dict(type='mono_distill.DIDCenterCoder', decode_mode=pixel_mode)
        )
        loss_cfgs = _merge('losses', DEFAULT_LOSSES, losses)
        self.losses = nn.ModuleDict({name: MODELS.build(cfg) for name, cfg in loss_cfgs.items()})
        self.task_weights = TaskWeights(list(DEFAULT_LOSSES))
        self.test_cfg = _merge('test_cfg', DEFAULT_TEST_CFG, test_cfg)

    def _add_branches(self, feat_channels: int) -> None:
        self.dense_branches = dict(heatmap=self.num_classes, offset_2d=2, size_2d=2)
        for name, channels in self.dense_branches.items():
            branch = nn.Sequential(
                nn.Conv2d(self.in_channels, feat_channels, 3, padding=1),
                nn.ReLU(inplace=True),
                nn.Conv2d(feat_channels, channels, 1),
            )
            self.add_module(name, branch)
        roi_channels = self.in_channels + NUM_COORDINATES + self.num_classes
        for name, channels in POOLED_BRANCHES.items():
            self.add_module(name, pooled_branch(roi_channels, feat_channels, channels))
        for name in BIN_BRANCHES:
            self.add_module(name, bin_branch(roi_channels, feat_channels))

    def init_weights(self) -> None:
        """Official initialisation: N(0, 0.001) for the 2D offset and size, Xavier for the second stage, zero biases."""
        super().init_weights()
        nn.init.constant_(self.heatmap[-1].bias, HEATMAP_BIAS)
        for name in ('offset_2d', 'size_2d', *POOLED_BRANCHES, *BIN_BRANCHES):
            convs: list[Any] = [module for module in getattr(self, name) if isinstance(module, nn.Conv2d)]
            for conv in convs:
                if name in self.dense_branches:
                    nn.init.normal_(conv.weight, std=0.001)
                else:
                    nn.init.xavier_normal_(conv.weight)
                nn.init.zeros_(conv.bias)

    def forward(
        self,
        feats: Sequence[Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]] | None = None,
        targets: Mapping[str, Tensor] | None = None,
        *,
        counts: Sequence[int] | None = None,
        sparse: bool = False,
    ) -> dict[str, Tensor]:
        """Run the first stage, and the second on the objects of ``targets`` or else on the highest peaks.

        Args:
            feats: Maps of the neck, fine to coarse; only the first (B, C, H, W) is used.
            batch_img_metas: See :class:`PixelGeometryReader`. Without them only the first stage runs.
            targets: Where to look: ``indices``, ``labels`` and ``mask_2d`` (B, N) of the target encoder.
            counts: Number of slots of each image that may hold an object, the first ones; the others are not computed.
                By default all N.
            sparse: Whether to compute 2D offset and size at the objects of ``targets`` only.

        Returns:
            ``heatmap`` (logits), ``offset_2d``, ``size_2d`` (cells), maps (B, ., H, W), with ``sparse`` instead of the
            latter two ``offset_2d_at``, ``size_2d_at`` (B, N, 2) at the objects. From the second stage, with N
            slots and b bins: ``offset_3d`` (B, N, 2) in cells; ``size_3d`` (B, N, 3) h, w, l in metres; ``heading``
            (B, N, 24), 12 bin logits and 12 residuals in radians; ``vis_depth``, ``att_depth``, ``ins_depth`` (B, N,
            b, b) in metres and their log variances ``vis_depth_uncer``, ``att_depth_uncer``, ``ins_depth_uncer``. At
            peaks also ``heat``, ``labels``, ``indices`` (B, N). Slots without an object hold anything finite.

        Raises:
            ShapeError: If the map has another number of channels.
            DataError: If a meta key is missing.
        """
        feat = feats[0]
        if feat.dim() != 4 or feat.shape[1] != self.in_channels:
            raise ShapeError(
                f'DIDHead: the finest map has shape {tuple(feat.shape)}, expected (B, {self.in_channels}, H, W); '
                'in_channels must be the channels of the first map of the neck.'
            )
        sparse = sparse and batch_img_metas is not None and targets is not None
        outs = {name: getattr(self, name)(feat) for name in (('heatmap',) if sparse else self.dense_branches)}
        if batch_img_metas is None:
            return outs
        if targets is not None:
            for name in ('offset_2d', 'size_2d') if sparse else ():
                outs[f'{name}_at'] = run_at_cells(getattr(self, name), feat, targets['indices'])
            return {**outs, **self._second_stage(feat, outs, batch_img_metas, targets, counts)}
        peaks = self.bbox_coder.find_peaks(
            outs['heatmap'], topk=self.test_cfg['topk'], local_maximum_kernel=self.test_cfg['local_maximum_kernel']
        )
        slots = {**peaks, 'mask_2d': torch.ones_like(peaks['labels'], dtype=torch.bool)}
        return {**outs, **peaks, **self._second_stage(feat, outs, batch_img_metas, slots)}

    def _second_stage(
        self,
        feat: Tensor,
        outs: Mapping[str, Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        slots: Mapping[str, Tensor],
        counts: Sequence[int] | None = None,
    ) -> dict[str, Tensor]:
        valid = slots['mask_2d']
        labels, index = torch.where(valid, slots['labels'], 0), used_slots(counts, valid)
        rois = self._rois(feat, outs, batch_img_metas, slots['indices'], labels)
        branches = {name: getattr(self, name) for name in (*POOLED_BRANCHES, *BIN_BRANCHES)}
        features = rois.features.flatten(0, 1)
        if index is None:
            raw = run_branches(branches, features, valid.flatten())
        else:
            some = run_branches(branches, features[index], valid.flatten()[index])
            raw = {
                name: value.new_zeros(len(features), *value.shape[1:]).index_copy(0, index, value)
                for name, value in some.items()
            }
        raw = {name: value.unflatten(0, valid.shape) for name, value in raw.items()}
        vis = torch.exp(-raw['vis_depth']) * rois.depth_scale[..., None, None]
        return {
            **raw,
            'size_3d': raw['size_3d'] + self.mean_size[labels],
            'vis_depth': vis,
            'ins_depth': vis + raw['att_depth'],
            'ins_depth_uncer': torch.logaddexp(raw['vis_depth_uncer'], raw['att_depth_uncer']),
        }

    def _rois(
        self,
        feat: Tensor,
        outs: Mapping[str, Tensor],
        batch_img_metas: Sequence[Mapping[str, Any]],
        indices: Tensor,
        labels: Tensor,
    ) -> RoIs:
        width = feat.shape[-1]
        cells = torch.stack([indices % width, indices // width], dim=-1)
        offset, size = (as_float32(outputs_at(outs, name, indices)) for name in ('offset_2d', 'size_2d'))
        boxes = torch.cat([cells + offset - size / 2, cells + offset + size / 2], dim=-1)
        return read_rois(
            feat,
            boxes.detach() if self.detach_rois else boxes,
            labels,
            self.geometry(batch_img_metas, boxes),
            num_classes=self.num_classes,
            bins=self.bins,
            stride=self.bbox_coder.stride,
        )

    def forward_samples(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """Run both stages on the annotated objects of the samples or, if one has no annotations, on the peaks."""
        metas = [sample.metainfo for sample in batch_data_samples]
        if not all('gt_instances_3d' in sample for sample in batch_data_samples):
            outs: dict[str, Tensor] = self(x, metas)
            return outs
        return self._forward_objects(x, batch_data_samples, sparse=False)[0]

    def _forward_objects(
        self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], *, sparse: bool
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        gt_instances = [sample.gt_instances_3d for sample in batch_data_samples]
        metas = [sample.metainfo for sample in batch_data_samples]
        targets = self._targets(gt_instances, metas, x[0].shape[-2:])
        counts = [len(instances) for instances in gt_instances]
        return self(x, metas, targets, counts=counts, sparse=sparse), targets

    def loss(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], **kwargs: Any) -> dict[str, Tensor]:
        """Run both stages and compute the losses of a batch of :class:`Det3DDataSample`."""
        return self.loss_by_targets(*self._forward_objects(x, batch_data_samples, sparse=self.sparse_2d))

    def loss_by_feat(
        self,
        outs: Mapping[str, Tensor],
        batch_gt_instances_3d: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
    ) -> dict[str, Tensor]:
        """Encode the annotations and compute the losses.

        Args:
            outs: Output of :meth:`forward` at the objects of these annotations.
            batch_gt_instances_3d: See :class:`DIDTargetEncoder`.
            batch_img_metas: See :class:`DIDTargetEncoder`.

        Returns:
            See :meth:`loss_by_targets`.
        """
        targets = self._targets(batch_gt_instances_3d, batch_img_metas, outs['heatmap'].shape[-2:])
        return self.loss_by_targets(outs, targets)

    def _targets(
        self,
        batch_gt_instances_3d: Sequence[InstanceData],
        batch_img_metas: Sequence[Mapping[str, Any]],
        feat_shape: Sequence[int],
    ) -> dict[str, Tensor]:
        targets: dict[str, Tensor] = self.target_encoder(batch_gt_instances_3d, batch_img_metas, feat_shape)
        labelled = [bool(meta.get('labelled', True)) for meta in batch_img_metas]
        if not all(labelled):
            targets = {**targets, 'labelled': host_values(labelled, like=targets['mask_2d'])}
        return targets

    def loss_by_targets(self, outs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Compute the losses from encoded targets, in float32 at least.

        Every loss is a mean over the valid objects (or bins, or peaks) of *all* ranks, so that the gradient that DDP
        averages is that of one process on the global batch. Images without objects only train the heatmap; every
        parameter receives a gradient, if only zero. Images whose annotations are unknown (metainfo ``labelled=False``)
        train nothing here.

        Args:
            outs: Output of :meth:`forward` at the objects of ``targets``.
            targets: Output of the target encoder, with ``labelled`` (B,) bool if some images are not.

        Returns:
            Seven losses, ``loss_<branch>``, multiplied by ``task_weights``; where these record (HTL), also the
            unweighted ones, ``raw_<branch>``, for the log.
        """
        return did_losses(outs, targets, self.losses, self.task_weights)

    def predict(self, x: Sequence[Tensor], batch_data_samples: Sequence[Any], **kwargs: Any) -> list[InstanceData]:
        """Run both stages and decode; boxes are always those of the original image (``rescale`` has no effect)."""
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_feat(self(x, metas), metas)

    def predict_by_feat(
        self, outs: Mapping[str, Tensor], batch_img_metas: Sequence[Mapping[str, Any]]
    ) -> list[InstanceData]:
        """Decode outputs at peaks, see :meth:`DIDCenterCoder.decode`."""
        score_thr = self.test_cfg['score_thr']
        return self.bbox_coder.decode(outs, batch_img_metas, score_thr=score_thr)


def _merge(option: str, defaults: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``defaults`` with the entries of ``given`` in place, which must exist there."""
    for key in given or ():
        if key not in defaults:
            raise ConfigError(f'DIDHead: {option} has no entry {key!r}; {did_you_mean(key, defaults)}')
    return {**defaults, **(given or {})}
