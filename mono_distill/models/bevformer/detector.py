"""BEVFormer (Li et al., ECCV 2022): multi-view 3D detection by queries on a bird's-eye view."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmdet3d.models.detectors import Base3DDetector
from torch import Tensor, nn

from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.models.monodetr.deformable_attention import Levels
from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

HISTORY_MODES = ('eval', 'train')
OUTPUTS = ('bev', 'queries')
_MATRICES = ('cam2img', 'cam2lidar', 'img_aug_matrix')


@MODELS.register_module()
class BEVFormer(Base3DDetector):
    """Image backbone and neck, :class:`BEVFormerEncoder`, :class:`BEVQueryDecoder` and :class:`BEVFormerHead`.

    Inputs are those of ``BEVDataPreprocessor(modality='camera')``: ``imgs`` (B, T, N, 3, H, W), ``cam2img``,
    ``cam2lidar``, ``img_aug_matrix`` (B, T, N, 4, 4), ``lidar_aug_matrix`` (B, 4, 4) and ``frame_exists`` (B, T). Frame
    0 is the current one, frame t lies t key-frames back. The oldest frame is encoded first and handed to the next one,
    without gradient, as BEVFormer does. A frame that a scene does not have is not looked at: the queries take its
    place.

    Args:
        img_backbone: Config of the backbone.
        img_neck: Config of a neck whose maps have the encoder's channels.
        encoder: Options of :class:`BEVFormerEncoder`.
        decoder: Options of :class:`BEVQueryDecoder`.
        pts_bbox_head: Config of the head.
        num_frames: Frames T that are used; batches may hold more.
        embed_dims: Channels C of encoder and decoder.
        history_mode: How past frames run: ``'eval'`` without dropout and with the running statistics of batch
            norms (the official choice, for frozen norms), or ``'train'``, like the current frame, for norms that learn.
        train_cfg: Not used.
        test_cfg: Not used; the head has its own.
        data_preprocessor: See mmdet3d.
        init_cfg: See mmengine.

    Raises:
        ConfigError: ``num_frames`` is not positive or ``history_mode`` is unknown.
    """

    def __init__(
        self,
        img_backbone: dict[str, Any],
        img_neck: dict[str, Any],
        pts_bbox_head: dict[str, Any],
        *,
        encoder: dict[str, Any] | None = None,
        decoder: dict[str, Any] | None = None,
        num_frames: int = 1,
        embed_dims: int = 256,
        history_mode: str = 'eval',
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if num_frames < 1:
            raise ConfigError(f'BEVFormer: num_frames must be at least 1, got {num_frames}')
        if history_mode not in HISTORY_MODES:
            raise ConfigError(
                f'BEVFormer: unknown history_mode {history_mode!r}; {did_you_mean(history_mode, HISTORY_MODES)}'
            )
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.num_frames, self.history_mode = num_frames, history_mode
        width = dict(embed_dims=embed_dims)
        self.img_backbone = MODELS.build(img_backbone)
        self.img_neck = MODELS.build(img_neck)
        self.encoder = MODELS.build(dict(type='mono_distill.BEVFormerEncoder', **{**width, **(encoder or {})}))
        self.decoder = MODELS.build(dict(type='mono_distill.BEVQueryDecoder', **{**width, **(decoder or {})}))
        self.pts_bbox_head = MODELS.build(pts_bbox_head)
        self._outputs = OutputRecord()

    def extract_feat(self, batch_inputs: Mapping[str, Tensor]) -> Tensor:
        """Compute the bird's-eye view of the current frame.

        Args:
            batch_inputs: See the class.

        Returns:
            (B, C, H, W), rows along y, columns along x.

        Raises:
            ConfigError: An input is missing.
            ShapeError: The shapes do not fit, or there are fewer frames than ``num_frames``.
        """
        self._check(batch_inputs)
        # The graph of the pass before must not live through this one.
        self._outputs = OutputRecord()
        prev, exists = None, None
        with torch.no_grad(), self._history():
            for frame in range(self.num_frames - 1, 0, -1):
                prev = self._encode(batch_inputs, frame, prev, exists)
                exists = batch_inputs['frame_exists'][:, frame]
        if self.num_frames > 1:
            # Autocast remembers weights in half precision. Older torch (from 2.1 on) remembers those of a pass without
            # gradient, too, and the current frame would then train neither backbone nor encoder.
            torch.clear_autocast_cache()
        bev = self._encode(batch_inputs, 0, prev, exists)
        self._outputs.update(bev=bev.transpose(1, 2).unflatten(2, self.encoder.bev_size))
        value: Tensor = self._outputs['bev']
        return value

    def loss(
        self, batch_inputs: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the losses of annotated samples, see :class:`BEVFormerCriterion`.

        Args:
            batch_inputs: See the class.
            batch_data_samples: Annotated samples.
            kwargs: Not used.
        """
        losses: dict[str, Tensor] = self.pts_bbox_head.loss_by_feat(self._forward(batch_inputs), batch_data_samples)
        return losses

    def predict(
        self, batch_inputs: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> Sequence[Any]:
        """Fill ``pred_instances_3d`` of the samples with boxes of the (augmented) LiDAR frame.

        Args:
            batch_inputs: See the class.
            batch_data_samples: Samples.
            kwargs: Not used.
        """
        results = self.pts_bbox_head.predict_by_feat(self._forward(batch_inputs))
        filled: Sequence[Any] = self.add_pred_to_datasample(batch_data_samples, results)
        return filled

    def distill_outputs(self) -> dict[str, Any]:
        """Return the named values of the last forward pass, for taps such as ``'student:queries[-1][points]'``.

        ``bev`` (B, C, H, W) and ``queries``, per decoder layer a dict of ``logits`` (B, Q, K), ``boxes`` (B, Q, 10) box
        codes in metres and ``points`` (B, Q, 2), the centres x, y in metres without gradient. Before the first pass the
        names, without values.
        """
        return dict(self._outputs) or dict.fromkeys(OUTPUTS)

    def _forward(
        self, batch_inputs: Mapping[str, Tensor], batch_data_samples: Sequence[Any] | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        bev = self.extract_feat(batch_inputs)
        levels = Levels(bev.flatten(2).transpose(1, 2), (self.encoder.bev_size,))
        outs: dict[str, Tensor] = self.pts_bbox_head(self.decoder(levels, self.pts_bbox_head.bbox_branches))
        queries = [
            dict(logits=logits, boxes=boxes, points=boxes[..., :2].detach())
            for logits, boxes in zip(outs['logits'], outs['boxes'], strict=True)
        ]
        self._outputs.update(queries=queries)
        return outs

    def _encode(self, inputs: Mapping[str, Tensor], frame: int, prev: Tensor | None, exists: Tensor | None) -> Tensor:
        """Bird's-eye view (B, H * W, C) of one frame on the grid of the current one."""
        images = inputs['imgs'][:, frame]
        batch, cameras = images.shape[:2]
        maps = self.img_neck(self.img_backbone(images.flatten(0, 1)))
        matrices = {name: inputs[name][:, frame] for name in _MATRICES}
        tokens: Tensor = self.encoder(
            [level.unflatten(0, (batch, cameras)) for level in maps],
            {**matrices, 'lidar_aug_matrix': inputs['lidar_aug_matrix']},
            (int(images.shape[-2]), int(images.shape[-1])),
            prev=prev,
            exists=exists,
        )
        return tokens

    @contextlib.contextmanager
    def _history(self) -> Iterator[None]:
        """Run what is inside as ``history_mode`` says."""
        if self.history_mode == 'train' or not self.training:
            yield
            return
        parts: list[nn.Module] = [self.img_backbone, self.img_neck, self.encoder]
        modes = [(module, module.training) for part in parts for module in part.modules()]
        for module, _ in modes:
            module.training = False
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode

    def _check(self, inputs: Mapping[str, Tensor]) -> None:
        (images,) = require_tensors(inputs, dict(imgs=(None,) * 6), owner='BEVFormer: inputs')
        batch, frames, cameras = images.shape[:3]
        if frames < self.num_frames:
            raise ShapeError(
                f'BEVFormer: the batch has {frames} frames, expected at least num_frames={self.num_frames}; load them '
                'with mono_distill.LoadMultiViewImages(num_frames=...).'
            )
        shapes: dict[str, tuple[int | None, ...]] = dict.fromkeys(_MATRICES, (batch, frames, cameras, 4, 4))
        shapes.update(lidar_aug_matrix=(batch, 4, 4))
        if self.num_frames > 1:
            shapes.update(frame_exists=(batch, frames))
        require_tensors(inputs, shapes, owner='BEVFormer: inputs')
