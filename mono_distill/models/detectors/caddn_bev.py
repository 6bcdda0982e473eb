"""CaDDN-type detectors: MonoTAKD's and CMKD's student, and MonoTAKD's teaching assistant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mono_distill.models.detectors.bev_anchor import BEVAnchorDetector
from mono_distill.models.monodetr.output_record import OutputRecord
from mono_distill.models.monotakd.collapse import BEVCollapse
from mono_distill.models.monotakd.norm import norm2d
from mono_distill.ops.depth_bins import depth_bin_targets, one_hot_depth
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError, did_you_mean

DEPTH_SOURCES = ('predicted', 'lidar')
SHARED_ASSISTANTS = (None, 'collapse', 'aligned')
Options = Mapping[str, Any]


@MODELS.register_module()
class CaDDNBEV(BEVAnchorDetector):
    r"""Image features lifted to a voxel grid by a depth distribution, collapsed to BEV, and an anchor head.

    With V the lifted voxels (:class:`FrustumView`), C a 1x1 collapse each, and the modules that are configured:

    .. math::
        F_{vis} = \operatorname{SCNet}(C_{vis}(V)), \quad \hat F_{spa} = \operatorname{SAM}(C_{spa}(V)), \quad
        F_S = \operatorname{FFM}(F_{vis} + \hat F_{spa})

    * MonoTAKD's student (CVPR 2025): ``scnet``, ``sam`` and ``ffm``. As in the release one context is lifted, and the
      two branches part behind the lift; the paper's figure has a context for each, lifted twice. Without ``ffm``, as in
      the release, the head sees :math:`F_{vis}` only, and the spatial branch runs in training alone.
    * CMKD's student: ``scnet`` alone.
    * The teaching assistant: ``depth_source='lidar'``, which takes the LiDAR depth of the batch as the distribution,
      certain of one bin, and has no depth head. None of the three modules in the released form: IMD compares the
      student's :math:`F_{vis}` behind SCNet with the assistant's map before any.

    ``norm_groups`` replaces every batch norm outside of the configured backbones, for training with one image per
    process.

    Args:
        backbone: Image backbone; its first map gives the context, its last the depth. Both at stride
            ``view.downsample``.
        view: Options of :class:`FrustumView`.
        context: ``in_channels`` (of the backbone's first map) and ``channels``.
        bev_backbone: For example mmdet3d's ``SECOND``.
        bev_neck: For example mmdet3d's ``SECONDFPN``.
        bbox_head: For example :class:`KittiAnchorHead`.
        bev_channels: Channels of the BEV features.
        depth_head: Options of :class:`DeepLabDepthHead`; only and always with ``depth_source='predicted'``.
        depth_source: ``'predicted'`` or ``'lidar'``.
        depth_loss: A loss on the depth logits, for example ``DDNLoss`` (CaDDN); ``None`` as in released MonoTAKD.
        scnet: Options of :class:`SCNet`, or ``None``.
        sam: Options of :class:`SpatialAlignmentModule`, or ``None``.
        ffm: Options of :class:`FeatureFusionModule`, or ``None``; needs ``sam``.
        shared_assistant: An assistant on this trunk, as released, for ``distill_outputs()['assistant']`` in training:
            ``'collapse'`` lifts the context with LiDAR depth and collapses it; ``'aligned'`` passes that through
            ``sam``, as the release does; ``None`` for none.
        supervised: Whether the annotations train the head. MonoTAKD and CMKD learn from the teacher's head alone.
        norm_groups: Groups of group norms in place of batch norms, or ``None``.
        data_preprocessor: :class:`KittiBEVDataPreprocessor`.
        init_cfg: See mmengine.

    Raises:
        ConfigError: Options exclude each other or do not fit.
    """

    outputs = ('context', 'depth_logits', 'depth', 'visual', 'spatial', 'bev', 'bev_features', 'assistant')

    def __init__(
        self,
        backbone: Options,
        view: Options,
        *,
        context: Options,
        bev_backbone: Options,
        bev_neck: Options,
        bbox_head: Options,
        bev_channels: int = 128,
        depth_head: Options | None = None,
        depth_source: str = 'predicted',
        depth_loss: Options | None = None,
        scnet: Options | None = None,
        sam: Options | None = None,
        ffm: Options | None = None,
        shared_assistant: str | None = None,
        supervised: bool = True,
        norm_groups: int | None = None,
        data_preprocessor: Options | None = None,
        init_cfg: Options | None = None,
    ) -> None:
        lift = MODELS.build({'type': 'mono_distill.FrustumView', **view})
        size = (lift.voxels[1], lift.voxels[0])
        super().__init__(lift.point_cloud_range, size, data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        _check_options(depth_source, depth_head, depth_loss, sam=sam, ffm=ffm, shared_assistant=shared_assistant)
        self.depth_source, self.supervised, self.shared_assistant = depth_source, supervised, shared_assistant
        norm = {'norm_groups': norm_groups}
        self.backbone = MODELS.build(backbone)
        channels = int(context['channels'])
        self.context = nn.Sequential(
            nn.Conv2d(context['in_channels'], channels, 1, bias=False), norm2d(channels, norm_groups), nn.ReLU()
        )
        self.depth_head = None
        if depth_head is not None:
            self.depth_head = MODELS.build({'type': 'mono_distill.DeepLabDepthHead', **norm, **depth_head})
            _check_bins(self.depth_head.bins, lift.bins)
        self.depth_loss = None if depth_loss is None else MODELS.build(depth_loss)
        self.view = lift

        def collapse() -> BEVCollapse:
            return BEVCollapse(channels, lift.voxels[2], bev_channels, norm_groups=norm_groups)

        self.collapse = collapse()
        self.scnet = _optional('SCNet', {'channels': bev_channels, **norm}, scnet)
        self.sam = _optional('SpatialAlignmentModule', {'channels': bev_channels, **norm}, sam)
        self.collapse_spatial = None if sam is None else collapse()
        self.ffm = _optional('FeatureFusionModule', {'channels': bev_channels, **norm}, ffm)
        self.collapse_assistant = None if shared_assistant is None else collapse()
        self.bev_backbone = MODELS.build(bev_backbone)
        self.bev_neck = MODELS.build(bev_neck)
        self.bbox_head = MODELS.build(bbox_head)
        self.check_anchors()

    def bev_layout(self) -> dict[str, Any]:
        """Return what networks must agree on whose BEV features are compared, see ``BEVGridCheckHook``."""
        return {**super().bev_layout(), 'depth_range': self.view.depth_range, 'depth_bins': self.view.bins}

    def extract_feat(
        self, batch_inputs_dict: Mapping[str, Tensor], batch_data_samples: Sequence[Any] | None = None
    ) -> list[Tensor]:
        """Compute the maps the head works on.

        Args:
            batch_inputs_dict: ``imgs`` (B, 3, H, W) and, where it is used, ``gt_depth`` (B, h, w).
            batch_data_samples: Whose metainfo holds the calibration.

        Raises:
            DataError: Pictures, calibration or, where it is used, LiDAR depth are missing.
        """
        imgs, samples = batch_inputs_dict.get('imgs'), batch_data_samples
        if imgs is None or samples is None:
            raise DataError(
                f'CaDDNBEV: the inputs are {sorted(batch_inputs_dict)}'
                f'{"" if samples else " without data samples"}; expected imgs and samples with their calibration, from '
                'mono_distill.KittiBEVDataPreprocessor'
            )
        # The graph of the pass before must not live through this one.
        self._outputs = OutputRecord()
        maps = self.backbone(imgs)
        context = self.context(maps[0])
        self._outputs.update(context=context)
        depth = self._depth(maps[-1], batch_inputs_dict, samples)
        metas = [sample.metainfo for sample in samples]
        bev = self._bev(self.view(context, depth, metas))
        if self.collapse_assistant is not None and self.training:
            known = self._lidar_depth(batch_inputs_dict, samples)
            assistant = self.collapse_assistant(self.view(context, known, metas))
            aligned = self.sam is not None and self.shared_assistant == 'aligned'
            self._outputs.update(assistant=self.sam(assistant) if aligned else assistant)
        features: list[Tensor] = self.bev_neck(self.bev_backbone(self.check_bev(bev)))
        self._outputs.update(depth=depth, bev=bev, bev_features=features[0])
        return features

    def loss(
        self, batch_inputs_dict: Mapping[str, Tensor], batch_data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Compute the head's losses (``supervised``) and ``loss_depth`` (``depth_loss``).

        Without either the result is empty: the losses are then those of a distiller.
        """
        features = self.extract_feat(batch_inputs_dict, batch_data_samples)
        losses: dict[str, Tensor] = {}
        if self.supervised:
            losses.update(self.bbox_head.loss(features, batch_data_samples))
        else:
            # Run all the same: its outputs are tapped.
            self.bbox_head(features)
        if self.depth_loss is not None:
            depth = self._known_depth(batch_inputs_dict, batch_data_samples)
            losses['loss_depth'] = self.depth_loss(self._outputs['depth_logits'], depth.unsqueeze(1))
        return losses

    def _bev(self, voxels: Tensor) -> Tensor:
        """Collapse the voxels to what the detector sees."""
        visual: Tensor = self.collapse(voxels)
        if self.scnet is not None:
            visual = self.scnet(visual)
        self._outputs.update(visual=visual)
        if self.sam is None or (self.ffm is None and not self.training):
            return visual
        spatial = self.sam(self.collapse_spatial(voxels))  # type: ignore[misc]
        self._outputs.update(spatial=spatial)
        fused: Tensor = visual if self.ffm is None else self.ffm(visual, spatial)
        return fused

    def _depth(self, features: Tensor, inputs: Mapping[str, Tensor], samples: Sequence[Any]) -> Tensor:
        """Return the weights ``(B, D, h, w)`` of the depth bins."""
        if self.depth_head is None:
            return self._lidar_depth(inputs, samples)
        logits = self.depth_head(features)
        self._outputs.update(depth_logits=logits)
        depth: Tensor = logits.float().softmax(1)[:, :-1]
        return depth

    def _lidar_depth(self, inputs: Mapping[str, Tensor], samples: Sequence[Any]) -> Tensor:
        """Return the LiDAR depth as a distribution that is certain; places without depth get nothing."""
        depth = self._known_depth(inputs, samples)
        bins = self.view.bins
        return one_hot_depth(depth_bin_targets(depth, depth_range=self.view.depth_range, bins=bins), bins)

    def _known_depth(self, inputs: Mapping[str, Tensor], samples: Sequence[Any]) -> Tensor:
        depth = inputs.get('gt_depth')
        if depth is None:
            names = ', '.join(str(sample.metainfo.get('sample_id', '?')) for sample in samples)
            raise DataError(
                f'CaDDNBEV: no LiDAR depth (gt_depth) for samples {names}; add mono_distill.KittiBEVDepth to the '
                'pipeline, after LoadKittiBEVPoints or LoadDepthMap'
            )
        expected = (*self._outputs['context'].shape[:1], *self._outputs['context'].shape[2:])
        if tuple(depth.shape) != tuple(expected):
            raise ShapeError(
                f'CaDDNBEV: gt_depth has shape {tuple(depth.shape)}, the image features have {tuple(expected)}; give '
                'KittiBEVDepth and the data preprocessor the stride of the backbone'
            )
        return depth


def _check_options(
    depth_source: str,
    depth_head: Options | None,
    depth_loss: Options | None,
    *,
    sam: Options | None,
    ffm: Options | None,
    shared_assistant: str | None,
) -> None:
    """Raise ConfigError for options that exclude each other."""
    if depth_source not in DEPTH_SOURCES:
        raise ConfigError(
            f'CaDDNBEV: unknown depth_source {depth_source!r}; {did_you_mean(depth_source, DEPTH_SOURCES)}'
        )
    if (depth_source == 'predicted') != (depth_head is not None):
        raise ConfigError("CaDDNBEV: depth_source='predicted' needs a depth_head, and 'lidar' has none (None)")
    if depth_source == 'lidar' and depth_loss is not None:
        raise ConfigError("CaDDNBEV: depth_source='lidar' predicts no depth; drop depth_loss (None)")
    if ffm is not None and sam is None:
        raise ConfigError('CaDDNBEV: ffm fuses the visual with the spatial map; configure sam, or drop ffm (None)')
    if shared_assistant not in SHARED_ASSISTANTS:
        raise ConfigError(f'CaDDNBEV: shared_assistant is one of {SHARED_ASSISTANTS}, got {shared_assistant!r}')
    if shared_assistant == 'aligned' and sam is None:
        raise ConfigError("CaDDNBEV: shared_assistant='aligned' passes through sam; configure it")


def _check_bins(head: int, view: int) -> None:
    if head != view:
        raise ConfigError(f'CaDDNBEV: depth_head has {head} bins, view {view}; give both the same number')


def _optional(name: str, defaults: Options, options: Options | None) -> Any:
    return None if options is None else MODELS.build({'type': f'mono_distill.{name}', **defaults, **options})
