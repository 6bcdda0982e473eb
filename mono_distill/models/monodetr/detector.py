"""MonoDETR (Zhang et al., ICCV 2023): a depth-guided transformer for monocular 3D detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models.layers import SinePositionalEncoding
from mmdet3d.models.detectors import SingleStageMono3DDetector
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.models.monodetr.deformable_attention import DeformableAttention, Levels, flatten_maps
from mono_distill.models.monodetr.known_depth import object_depth_map
from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.ops.pointwise import use_fast_linear
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

DEPTH_SOURCES = ('predicted', 'objects')
OUTPUTS = (
    'backbone_maps',
    'neck_maps',
    'memory',
    'hidden',
    'depth_embed',
    'depth_logits',
    'weighted_depth',
    'cls_scores',
    'bboxes',
    'dims',
    'depth',
    'heading',
    'matched_queries',
    'matched_mask',
)


@MODELS.register_module()
class MonoDETR(SingleStageMono3DDetector):
    """Backbone, neck, depth predictor, visual encoder, depth-aware decoder and :class:`MonoDETRHead`.

    Training runs ``num_groups`` groups of ``num_queries`` queries side by side, each matched to the objects on its own
    (Group DETR); inference runs the first group. Images must not be padded. Parameters of the official model that never
    receive a gradient do not exist here.

    The modality is the preprocessor's business: with ``Mono3DDataPreprocessor(modality='depth')`` the same detector is
    a LiDAR teacher.

    Args:
        backbone: Its last three maps go to the neck.
        neck: Makes maps of ``embed_dims`` channels at strides 8, 16, 32 and, from the backbone's last map, 64.
        bbox_head: Config of the head.
        depth_predictor: Options of :class:`MonoDETRDepthPredictor`.
        encoder: Options of :class:`MonoDETREncoder`.
        decoder: Options of :class:`DepthAwareDecoder`.
        num_queries: Queries of a group; at most so many objects are found.
        num_groups: Groups in training.
        embed_dims: Channels C of all tokens.
        depth_source: ``'predicted'``, or ``'objects'`` for a teacher that is told the depth of the annotated objects:
            the depth map that it embeds and samples then shows, inside of each 2D box, the depth of the nearest such
            object, and the far end of the depth range elsewhere. It needs annotations in evaluation, too.
        data_preprocessor: See mmdet3d.
        train_cfg: Passed to the head if given.
        test_cfg: Passed to the head if given.
        init_cfg: See mmengine.

    Raises:
        ConfigError: ``depth_source`` is unknown.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        neck: dict[str, Any],
        bbox_head: dict[str, Any],
        *,
        depth_predictor: dict[str, Any] | None = None,
        encoder: dict[str, Any] | None = None,
        decoder: dict[str, Any] | None = None,
        num_queries: int = 50,
        num_groups: int = 11,
        embed_dims: int = 256,
        depth_source: str = 'predicted',
        data_preprocessor: dict[str, Any] | None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if depth_source not in DEPTH_SOURCES:
            raise ConfigError(
                f'MonoDETR: unknown depth_source {depth_source!r}; {did_you_mean(depth_source, DEPTH_SOURCES)}'
            )
        super().__init__(
            backbone=backbone,
            neck=neck,
            bbox_head={'num_queries': num_queries, **bbox_head},
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.num_queries, self.num_groups = num_queries, num_groups
        self.depth_source = depth_source
        width = dict(embed_dims=embed_dims)
        self.depth_predictor = MODELS.build(_part('MonoDETRDepthPredictor', width, depth_predictor))
        self.encoder = MODELS.build(_part('MonoDETREncoder', width, encoder))
        self.decoder = MODELS.build(_part('DepthAwareDecoder', width, decoder))
        self.positional_encoding = SinePositionalEncoding(embed_dims // 2, normalize=True)
        self.level_embed = nn.Parameter(torch.empty(self.decoder.num_levels, embed_dims))
        self.query_embedding = nn.Embedding(num_queries * num_groups, 2 * embed_dims)
        self.reference_points_fc = nn.Linear(embed_dims, 2)
        nn.init.normal_(self.level_embed)
        for part in (self.depth_predictor, self.encoder, self.decoder, self.bbox_head):
            use_fast_linear(part)
        self._outputs = OutputRecord()

    def init_weights(self) -> None:
        """Official initialisation: Xavier in the transformer, a ring of sampling points, queries from N(0, 1)."""
        super().init_weights()
        for module in (self.encoder, self.decoder):
            for parameter in module.parameters():
                if parameter.dim() > 1:
                    nn.init.xavier_uniform_(parameter)
            for attention in module.modules():
                if isinstance(attention, DeformableAttention):
                    attention.init_weights()
        nn.init.normal_(self.level_embed)
        nn.init.normal_(self.query_embedding.weight)
        nn.init.xavier_uniform_(self.reference_points_fc.weight)
        nn.init.zeros_(self.reference_points_fc.bias)

    def extract_feat(self, batch_inputs_dict: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Compute the maps of the neck.

        Args:
            batch_inputs_dict: Holds ``imgs`` (B, 3, H, W).

        Returns:
            Maps (B, C, H_i, W_i) at strides 8, 16, 32 and 64.

        Raises:
            ConfigError: If there is no ``imgs``.
        """
        if 'imgs' not in batch_inputs_dict:
            raise ConfigError(
                f"MonoDETR: the inputs are {sorted(batch_inputs_dict)}, expected 'imgs'; use the data preprocessor "
                'mono_distill.Mono3DDataPreprocessor.'
            )
        # The graph of the pass before must not live through this one.
        self._outputs = OutputRecord()
        levels = self.backbone(batch_inputs_dict['imgs'])
        maps: tuple[Tensor, ...] = self.neck(levels)
        self._outputs.update(backbone_maps=levels, neck_maps=maps)
        return maps

    def loss(
        self, batch_inputs: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the losses of annotated images, see :class:`MonoDETRCriterion`.

        Args:
            batch_inputs: See :meth:`extract_feat`.
            batch_data_samples: Annotated samples.
            kwargs: Not used.
        """
        targets = self.bbox_head.encode(batch_data_samples)
        outs = self._run(batch_inputs, batch_data_samples, targets)
        losses: dict[str, Tensor]
        losses, assignment = self.bbox_head.loss_by_targets(outs, targets)
        self._outputs.update(matched_queries=assignment['queries'], matched_mask=assignment['mask'])
        return losses

    def predict(
        self, batch_inputs: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> Sequence[Any]:
        """Fill ``pred_instances_3d`` of the samples with boxes of the original image.

        Args:
            batch_inputs: See :meth:`extract_feat`.
            batch_data_samples: Samples with the meta information that :meth:`MonoDETRCoder.decode` names.
            kwargs: Not used.
        """
        outs = self._run(batch_inputs, batch_data_samples)
        results = self.bbox_head.predict_by_feat(outs, [sample.metainfo for sample in batch_data_samples])
        filled: Sequence[Any] = self.add_pred_to_datasample(batch_data_samples, results)
        return filled

    def distill_outputs(self) -> dict[str, Any]:
        """Return the named tensors of the last forward pass, for taps such as ``'student:memory[1]'``.

        ``backbone_maps`` and ``neck_maps`` (tuples, fine to coarse), ``memory`` (the encoded maps of the neck),
        ``hidden`` (L, B, Q, C), ``depth_logits``, ``weighted_depth`` and ``depth_embed`` (1/16), the other outputs of
        :class:`MonoDETRHead`, and in mode ``'loss'`` ``matched_queries`` and ``matched_mask`` (L, B, G, N): the query
        of each annotated object in each group. Before the first pass the names, without values.
        """
        return dict(self._outputs) or dict.fromkeys(OUTPUTS)

    def _forward(
        self, batch_inputs: Mapping[str, Tensor], batch_data_samples: Sequence[Any] | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        if batch_data_samples is None:
            raise DataError(
                "MonoDETR: the depth of a query depends on the camera; give data samples in mode 'tensor', too."
            )
        return self._run(batch_inputs, batch_data_samples)

    def _run(
        self,
        batch_inputs: Mapping[str, Tensor],
        batch_data_samples: Sequence[Any],
        targets: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        maps = self.extract_feat(batch_inputs)
        known_depth = None
        if self.depth_source == 'objects':
            targets = self.bbox_head.encode(batch_data_samples) if targets is None else targets
            size = (int(maps[1].shape[2]), int(maps[1].shape[3]))
            known_depth = object_depth_map(targets, size, self.depth_predictor.depth_range[1])
        return self.forward_transformer(maps, [sample.metainfo for sample in batch_data_samples], known_depth)

    def forward_transformer(
        self, maps: Sequence[Tensor], batch_img_metas: Sequence[Mapping[str, Any]], known_depth: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Run everything behind the neck.

        Args:
            maps: Output of :meth:`extract_feat`.
            batch_img_metas: Of the images.
            known_depth: See :class:`MonoDETRDepthPredictor`.

        Returns:
            Output of :class:`MonoDETRHead`.
        """
        levels = flatten_maps(maps)
        encodings = [self.positional_encoding(None, value[:1]) for value in maps]
        flat = flatten_maps(encodings)
        per_level = flat.tokens.split([height * width for height, width in flat.shapes], dim=1)
        depth = self.depth_predictor(maps, per_level[1], known_depth)
        positions = torch.cat([part + embed for part, embed in zip(per_level, self.level_embed, strict=True)], dim=1)
        memory = self.encoder(levels, positions)
        queries = self._decode(memory, depth.embed)
        outs: dict[str, Tensor] = self.bbox_head(queries, depth, batch_img_metas)
        self._outputs.update(memory=memory.maps(), hidden=queries.hidden, depth_embed=depth.embed, **outs)
        return outs

    def _decode(self, memory: Levels, depth_embed: Tensor) -> Any:
        num_groups = self.num_groups if self.training else 1
        embedding = self.query_embedding.weight[: num_groups * self.num_queries]
        query_pos, query = embedding.expand(depth_embed.shape[0], -1, -1).chunk(2, dim=-1)
        with torch.autocast(query.device.type, enabled=False):
            points = self.reference_points_fc(as_float32(query_pos)).sigmoid()
        return self.decoder(
            query,
            query_pos,
            points=points,
            memory=memory,
            depth_embed=depth_embed,
            bbox_branches=self.bbox_head.bbox_branches,
            num_groups=num_groups,
        )


def _part(name: str, defaults: dict[str, Any], options: Mapping[str, Any] | None) -> dict[str, Any]:
    return {'type': f'mono_distill.{name}', **defaults, **(options or {})}
