"""BEVDet and BEVDepth, and their temporal forms BEVDet4D and BEVDepth4D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from mmdet3d.models.detectors import Base3DDetector
from torch import Tensor, nn

from mono_distill.losses.tensor_dict import head_tasks
from mono_distill.models.detectors.bev_cache import BEVCache, map_pose, warp_bev
from mono_distill.models.detectors.bev_checks import check_feature_size, check_head_grid, check_images, check_levels
from mono_distill.models.detectors.kept_statistics import kept_statistics
from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.models.view_transformers.base import LiftedView
from mono_distill.models.view_transformers.depth_override import DEPTH_MODES
from mono_distill.models.view_transformers.frustum import Cameras, frame_cameras
from mono_distill.ops.conv_order import conv_order
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

OUTPUTS = ('img_feat', 'depth_logits', 'depth', 'bev_raw', 'bev_frames', 'bev_encoder', 'bev', 'heads')


@MODELS.register_module()
class BEVDet(Base3DDetector):
    """Images of several cameras, lifted into one bird's-eye view, encoded, and read by a CenterPoint head.

    `BEVDet <https://arxiv.org/abs/2112.11790>`_; with ``num_frames > 1`` `BEVDet4D
    <https://arxiv.org/abs/2203.17054>`_. Everything is in the augmented LiDAR frame of the current key-frame (x right,
    y forward, z up); maps are ``(B, C, H, W)`` with H along y and W along x. Any number of cameras is taken.

    Earlier frames are lifted with their own images straight into the current frame (exact for any motion of the car),
    and their maps are put behind the current one, channel-wise. Where a sample has no earlier frame, the data repeat
    the current one. For streaming, ``predict`` takes the earlier maps from a :class:`BEVCache` instead and warps them,
    so that each image is computed once.

    Args:
        img_backbone: Image backbone, config.
        img_neck: Its first (or only) map is lifted.
        view_transformer: :class:`LSSViewTransformer`, :class:`BEVDepthViewTransformer` or alike.
        bev_backbone: Encoder of the map, takes the channels of all frames together.
        bev_neck: Merges the encoder's levels into one map.
        pts_bbox_head: :class:`BEVCenterHead` or mmdet3d's ``CenterHead``.
        num_frames: Frames T, the current one included.
        prev_no_grad: Earlier frames pass no gradient to the image branch, as in the official BEVDepth.
        prev_bn_update: Earlier frames count in the running statistics of batch norms, as in the official BEVDepth.
        temporal_mode: ``'lift'``, or ``'warp'``: ``predict`` uses a cache of its own. Training always lifts.
        depth_mode: ``'pred'``; ``'gt_onehot'`` or ``'mix'`` use the LiDAR depth of the current frame in training and
            in prediction, see :func:`override_depth` (the teaching assistant of MonoTAKD).
        pre_process: Encoder of each single frame's map, for BEVDet4D; its last level is used.
        train_cfg: ``dict(pts=...)``, handed to the head.
        test_cfg: ``dict(pts=...)``, handed to the head.
        data_preprocessor: :class:`BEVDataPreprocessor`.
        init_cfg: See mmengine.

    Raises:
        ConfigError: An option is unknown, parts do not fit in channels, or head and map lie on different grids.
    """

    def __init__(
        self,
        img_backbone: dict[str, Any],
        img_neck: dict[str, Any],
        view_transformer: dict[str, Any],
        bev_backbone: dict[str, Any],
        bev_neck: dict[str, Any],
        pts_bbox_head: dict[str, Any],
        *,
        num_frames: int = 1,
        prev_no_grad: bool = True,
        prev_bn_update: bool = True,
        temporal_mode: str = 'lift',
        depth_mode: str = 'pred',
        pre_process: dict[str, Any] | None = None,
        train_cfg: Mapping[str, Any] | None = None,
        test_cfg: Mapping[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        _check_options(num_frames, temporal_mode, depth_mode)
        self.img_backbone = MODELS.build(img_backbone)
        self.img_neck = MODELS.build(img_neck)
        self.view_transformer = MODELS.build(view_transformer)
        self.pre_process = None if pre_process is None else MODELS.build(pre_process)
        self.bev_backbone = MODELS.build(bev_backbone)
        self.bev_neck = MODELS.build(bev_neck)
        head = dict(pts_bbox_head)
        for name, cfg in (('train_cfg', train_cfg), ('test_cfg', test_cfg)):
            if cfg is not None:
                head[name] = cfg.get('pts', cfg)
        check_head_grid(self.view_transformer.grid, head.get('train_cfg'))
        self.pts_bbox_head = MODELS.build(head)
        self.num_frames = num_frames
        self.prev_no_grad, self.prev_bn_update = prev_no_grad, prev_bn_update
        self.depth_mode = depth_mode
        self.cache = BEVCache(num_frames - 1) if temporal_mode == 'warp' else None
        self._check_channels()
        self._outputs = OutputRecord()

    def extract_img_feat(self, images: Tensor) -> Tensor:
        """Compute the map that is lifted.

        Args:
            images: ``(B, N, 3, H, W)``.

        Returns:
            ``(B, N, C, h, w)``.

        Raises:
            ShapeError: The backbone's levels do not divide the images, or the features are not ``downsample`` times
                smaller.
        """
        levels = self.img_backbone(conv_order(images.flatten(0, 1)))
        check_levels(images, levels)
        maps = self.img_neck(levels)
        features: Tensor = maps[0] if isinstance(maps, (list, tuple)) else maps
        check_feature_size(images, features, self.view_transformer.downsample)
        # The view transformer gets the channels first: in the other order, cuDNN took a kernel for BEVDepth's depth
        # network that made it six times as slow (bfloat16, H200).
        return features.contiguous().unflatten(0, images.shape[:2])

    def lift_current(self, inputs: Mapping[str, Tensor]) -> LiftedView:
        """Lift the current frame; see :class:`LiftedView`.

        Raises:
            ConfigError: Known depth is to be used, but the inputs have none.
            ShapeError: Images, matrices or depth do not fit.
        """
        check_images(inputs, 1)
        # The graph of the pass before must not live through this one.
        self._outputs = OutputRecord()
        features = self.extract_img_feat(inputs['imgs'][:, 0])
        known = None
        if self.depth_mode != 'pred' and 'gt_depth' in inputs:
            known = self.view_transformer.known_depth(inputs['gt_depth'])
        lifted: LiftedView = self.view_transformer(features, frame_cameras(inputs, 0), known, self.depth_mode)
        self._outputs.update(
            img_feat=features, depth_logits=lifted.depth_logits, depth=lifted.depth, bev_raw=lifted.bev
        )
        return lifted

    def lift_previous(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Lift the earlier frames into the current LiDAR frame: T - 1 maps ``(B, C, H, W)``, the latest first.

        Raises:
            ConfigError: The inputs have too few frames.
        """
        previous = self.num_frames - 1
        check_images(inputs, self.num_frames)
        if not previous:
            return []
        frames = slice(1, self.num_frames)
        told = Cameras(*(matrix.repeat_interleave(previous, 0) for matrix in frame_cameras(inputs, 0)))
        branch = (self.img_backbone, self.img_neck, self.view_transformer)
        with (
            torch.no_grad() if self.prev_no_grad else nullcontext(),
            nullcontext() if self.prev_bn_update else kept_statistics(branch),
        ):
            features = self.extract_img_feat(inputs['imgs'][:, frames].flatten(0, 1))
            lifted: LiftedView = self.view_transformer(features, frame_cameras(inputs, frames), key_cameras=told)
        return list(lifted.bev.unflatten(0, (-1, previous)).unbind(1))

    def warp_previous(self, current: Tensor, samples: Sequence[Any], cache: BEVCache) -> list[Tensor]:
        """Take the earlier maps from a cache instead, and put the current ones in; the same form.

        Samples of one batch may follow each other. Where the cache has no map, the current one stands in, as the data
        repeat the current frame.

        Args:
            current: ``(B, C, H, W)`` raw maps of the current frame.
            samples: Their data samples, with the meta information :func:`map_pose` names.
            cache: Remembers at least T - 1 frames.

        Raises:
            ConfigError: The cache is too short.
            DataError: Meta information is missing.
        """
        if cache.num_previous < self.num_frames - 1:
            raise ConfigError(
                f'{type(self).__name__}: the cache remembers {cache.num_previous} key-frames, but num_frames='
                f'{self.num_frames}; use BEVCache({self.num_frames - 1}).'
            )
        rows = []
        for bev, sample in zip(current, samples, strict=True):
            pose = map_pose(sample.metainfo)
            found = cache.previous(pose)[: self.num_frames - 1]
            rows.append([bev if entry is None else self._warped(entry, pose) for entry in found])
            cache.push(pose, bev)
        return [torch.stack(maps) for maps in zip(*rows, strict=True)]

    def encode_bev(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """Encode the maps of all frames; the neck's maps.

        Args:
            frames: T maps ``(B, C, H, W)``, the current one first.
        """
        self._outputs['bev_frames'] = list(frames)
        if self.pre_process is not None:
            frames = [self._pre_processed(self.pre_process, bev, index > 0) for index, bev in enumerate(frames)]
        levels = list(self.bev_backbone(torch.cat(list(frames), 1)))
        maps = list(self.bev_neck(levels))
        self._outputs.update(bev_encoder=levels, bev=maps[0])
        return maps

    def extract_feat(self, batch_inputs_dict: Mapping[str, Tensor]) -> list[Tensor]:
        """Compute the map the head works on, with all frames lifted.

        Args:
            batch_inputs_dict: ``imgs`` ``(B, T, N, 3, H, W)``, ``cam2img``, ``cam2lidar``, ``img_aug_matrix``
                ``(B, T, N, 4, 4)``, ``lidar_aug_matrix`` ``(B, 4, 4)``, maybe ``gt_depth`` ``(B, N, h, w)``. Frames
                beyond ``num_frames`` are not looked at.

        Returns:
            List of one map ``(B, C, H, W)``.

        Raises:
            ConfigError: Something is missing in the inputs.
            ShapeError: Something does not fit.
        """
        check_images(batch_inputs_dict, self.num_frames)
        lifted = self.lift_current(batch_inputs_dict)
        return self.encode_bev([lifted.bev, *self.lift_previous(batch_inputs_dict)])

    def loss(
        self, batch_inputs_dict: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the head's losses: ``task<i>.loss_heatmap`` and ``task<i>.loss_bbox``.

        Args:
            batch_inputs_dict: See :meth:`extract_feat`.
            batch_data_samples: Annotated samples.
            kwargs: Not used.
        """
        outs = self._head(self.extract_feat(batch_inputs_dict))
        losses: dict[str, Tensor] = self.pts_bbox_head.loss_by_feat(
            outs, [sample.gt_instances_3d for sample in batch_data_samples]
        )
        return losses

    def predict(
        self,
        batch_inputs_dict: Mapping[str, Tensor],
        batch_data_samples: Sequence[Any],
        cache: BEVCache | None = None,
        **kwargs: Any,
    ) -> Sequence[Any]:
        """Fill ``pred_instances_3d`` of the samples with boxes of the LiDAR frame.

        Args:
            batch_inputs_dict: See :meth:`extract_feat`; with a cache, of the current frame only.
            batch_data_samples: Samples.
            cache: Holds the maps of earlier frames; they are warped, not lifted. Ours if ``temporal_mode='warp'``.
            kwargs: Not used.
        """
        cache = self.cache if cache is None else cache
        if cache is None or self.num_frames == 1:
            maps = self.extract_feat(batch_inputs_dict)
        else:
            current = self.lift_current(batch_inputs_dict).bev
            maps = self.encode_bev([current, *self.warp_previous(current, batch_data_samples, cache)])
        outs = self._head(maps)
        results = self.pts_bbox_head.predict_by_feat(outs, [sample.metainfo for sample in batch_data_samples])
        filled: Sequence[Any] = self.add_pred_to_datasample(batch_data_samples, results)
        return filled

    def distill_outputs(self) -> dict[str, Any]:
        """Return the named tensors of the last forward pass, for taps such as ``'student:heads'``.

        ``img_feat`` (B, N, C, h, w), ``depth_logits`` and ``depth`` (B, N, D, h, w) of the current frame; ``bev_raw``
        (B, C, H, W), its pooled map; ``bev_frames``, the pooled maps of all frames, a list with the current one first;
        ``bev_encoder``, the list of maps of ``bev_backbone``, the first of which, with :class:`BEVResNet`, is its
        input; ``bev``, the neck's map; ``heads``: per task a dictionary of ``heatmap`` (logits), ``reg``, ``height``,
        ``dim``, ``rot``, ``vel``. Before the first pass the names, without values.
        """
        return dict(self._outputs) or dict.fromkeys(OUTPUTS)

    def _forward(
        self, batch_inputs_dict: Mapping[str, Tensor], batch_data_samples: Sequence[Any] | None = None, **kwargs: Any
    ) -> Any:
        return self._head(self.extract_feat(batch_inputs_dict))

    def _head(self, maps: list[Tensor]) -> Any:
        outs = self.pts_bbox_head(maps)
        self._outputs['heads'] = head_tasks(outs)
        return outs

    def _warped(self, entry: tuple[Any, Tensor], pose: Any) -> Tensor:
        source, bev = entry
        current2source = torch.linalg.inv(source.map2global) @ pose.map2global
        grid = self.view_transformer.grid
        moved = warp_bev(bev[None], current2source[None], x_range=grid.x_range, y_range=grid.y_range)
        return moved[0]

    def _pre_processed(self, encoder: nn.Module, bev: Tensor, previous: bool) -> Tensor:
        with torch.no_grad() if previous and self.prev_no_grad else nullcontext():
            levels = encoder(bev)
        out: Tensor = levels[-1] if isinstance(levels, (list, tuple)) else levels
        return out

    def _check_channels(self) -> None:
        expected = getattr(self.bev_backbone, 'in_channels', None)
        channels = self.view_transformer.out_channels * self.num_frames
        if self.pre_process is None and isinstance(expected, int) and expected != channels:
            raise ConfigError(
                f'{type(self).__name__}: bev_backbone takes {expected} channels, but {self.num_frames} frame(s) of '
                f'{self.view_transformer.out_channels} give {channels}; set bev_backbone.in_channels={channels}, and '
                'the first of bev_neck.in_channels if it reads the map itself.'
            )


@MODELS.register_module()
class BEVDepth(BEVDet):
    """BEVDet whose depth is supervised by LiDAR; with ``num_frames > 1`` BEVDepth4D.

    `BEVDepth <https://arxiv.org/abs/2206.10092>`_ (AAAI 2023). Only the depth of the current frame is supervised. Takes
    the arguments of :class:`BEVDet`.
    """

    def loss(
        self, batch_inputs_dict: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the losses of :class:`BEVDet` and ``loss_depth``.

        Args:
            batch_inputs_dict: With ``gt_depth``.
            batch_data_samples: Annotated samples.
            kwargs: Not used.

        Raises:
            ConfigError: There is no LiDAR depth.
            ShapeError: It does not fit the depth bins' cells.
        """
        if 'gt_depth' not in batch_inputs_dict:
            raise ConfigError(
                f"BEVDepth: the inputs are {sorted(batch_inputs_dict)}, without the 'gt_depth' that supervises it. "
                'Put mono_distill.LidarDepthTargets into the training pipeline, or use BEVDet.'
            )
        losses = super().loss(batch_inputs_dict, batch_data_samples, **kwargs)
        losses['loss_depth'] = self.view_transformer.loss_depth(
            self._outputs['depth_logits'], batch_inputs_dict['gt_depth']
        )
        return losses


def _check_options(num_frames: int, temporal_mode: str, depth_mode: str) -> None:
    if num_frames < 1:
        raise ConfigError(f'BEVDet: num_frames counts the current frame, too, so at least 1; got {num_frames}.')
    if temporal_mode not in ('lift', 'warp') or (temporal_mode == 'warp' and num_frames == 1):
        raise ConfigError(
            f"BEVDet: temporal_mode must be 'lift', or 'warp' with num_frames > 1; got {temporal_mode!r} and "
            f'num_frames={num_frames}.'
        )
    if depth_mode not in DEPTH_MODES:
        raise ConfigError(f'BEVDet: depth_mode must be one of {", ".join(DEPTH_MODES)}, got {depth_mode!r}.')
