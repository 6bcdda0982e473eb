"""DID-M3D as a graph for ONNX."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mono_distill.apis.onnx_graphs import (
    OnnxGraph,
    by_image,
    check_takes_pictures,
    directions,
    focal_lengths,
    lifted,
    register_onnx_graph,
)
from mono_distill.models.task_modules.did_center_coder import DIDCenterCoder
from mono_distill.models.task_modules.did_geometry import PixelGeometry
from mono_distill.utils.errors import ConfigError


@register_onnx_graph('DIDHead')
class DIDGraph(OnnxGraph):
    """:class:`mono_distill.models.DIDHead` with :class:`DIDCenterCoder`; its boxes are pooled by ONNX's RoiAlign.

    The third input ``magnification`` (B,) is the number of pixels of the resized picture per pixel of the original
    (``trans_mat[0, 0]``). The camera matrix does not tell it, and the visual depth is proportional to it.

    Candidates of a negative size, which the detector leaves out, have the heat 0.
    """

    input_names: ClassVar[tuple[str, ...]] = (*OnnxGraph.input_names, 'magnification')

    def __init__(self, detector: Any) -> None:
        super().__init__(detector)
        check_takes_pictures(detector)
        self.coder: DIDCenterCoder = self.head.bbox_coder
        if type(self.coder) is not DIDCenterCoder or {self.coder.decode_mode, self.head.geometry.mode} != {'exact'}:
            raise ConfigError(
                'ONNX export knows DIDCenterCoder with decode_mode and pixel_mode exact, this head has '
                f'{type(self.coder).__name__} with {self.coder.decode_mode} and {self.head.geometry.mode}, which '
                'imitates released code and needs the size of the original picture; set '
                'model.bbox_head.pixel_mode=exact'
            )

    @property
    def score_thr(self) -> float:
        """Threshold on the heatmap's peak."""
        return float(self.head.test_cfg['score_thr'])

    def forward(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> tuple[Tensor, ...]:
        """See :class:`OnnxGraph`."""
        maps = self.detector.extract_feat({'imgs': self.normalised(image)})
        found = self.coder.read_peaks(self.head(maps, _geometry(cam2img, further[0])))
        tangent = directions(found['centers_2d'], cam2img)[..., 0]
        boxes_3d, boxes_2d = lifted(found, cam2img, tangent=tangent)
        scores = found['heat'] * found['confidence']
        heat = torch.where((found['size_3d'] >= 0).all(-1), found['heat'], 0.0)
        return boxes_3d, scores, found['labels'], boxes_2d, found['alpha'], heat

    def reference(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> list[dict[str, Tensor]]:
        """See :class:`OnnxGraph`."""
        inputs, metas = self.preprocessed(image, cam2img, further[0])
        found = self.coder.read_peaks(self.head(self.detector.extract_feat(inputs), metas))
        boxes_3d, boxes_2d = self.coder.boxes(found, metas)
        return by_image(
            {
                'bboxes_3d': boxes_3d,
                'scores': found['heat'] * found['confidence'],
                'labels': found['labels'],
                'bboxes_2d': boxes_2d * further[0].view(-1, 1, 1),
                'alpha': found['alpha'],
            }
        )


def _geometry(cam2img: Tensor, magnification: Tensor) -> PixelGeometry:
    """Return what :class:`PixelGeometryReader` reads from the meta information of pictures that were resized only."""
    focal = focal_lengths(cam2img).squeeze(1)
    direction = -cam2img[:, :2, 2] / focal
    return PixelGeometry(
        ray_scale=1 / focal,
        ray_offset=direction - cam2img[:, :2, 3] / focal,
        direction_offset=direction,
        image_scale=(1 / magnification).unsqueeze(1).expand(-1, 2),
    )
