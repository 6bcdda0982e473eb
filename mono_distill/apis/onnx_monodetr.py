"""MonoDETR as a graph for ONNX."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mono_distill.apis.onnx_graphs import (
    OnnxGraph,
    by_image,
    check_takes_pictures,
    directions,
    lifted,
    register_onnx_graph,
)
from mono_distill.models.monodetr.depth_fusion import Cameras
from mono_distill.models.task_modules.monodetr_coder import MonoDETRCoder
from mono_distill.utils.errors import ConfigError


@register_onnx_graph('MonoDETRHead')
class MonoDETRGraph(OnnxGraph):
    """:class:`mono_distill.models.MonoDETR`; its deformable attention is sampled by ONNX's GridSample, map by map."""

    def __init__(self, detector: Any) -> None:
        super().__init__(detector)
        check_takes_pictures(detector)
        self.coder: MonoDETRCoder = self.head.bbox_coder
        if detector.depth_source != 'predicted':
            raise ConfigError(
                f'MonoDETR with depth_source={detector.depth_source} is told the depth of annotated objects, which a '
                'picture does not show; it cannot be exported to ONNX'
            )
        if {self.coder.decode_mode, self.head.depth_geometry} != {'exact'}:
            raise ConfigError(
                'ONNX export knows MonoDETR with decode_mode and depth_geometry exact, this head has '
                f'{self.coder.decode_mode} and {self.head.depth_geometry}, which imitates released code and needs the '
                'size of the original picture; set model.bbox_head.depth_geometry=exact (and bbox_coder.decode_mode)'
            )

    @property
    def score_thr(self) -> float:
        """Threshold on the class probability."""
        return float(self.head.test_cfg['score_thr'])

    def forward(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> tuple[Tensor, ...]:
        """See :class:`OnnxGraph`; ``heat`` is the class probability."""
        focal = cam2img[:, 0, 0]
        cameras = Cameras(focal, torch.full_like(focal, image.shape[2]))
        maps = self.detector.extract_feat({'imgs': self.normalised(image)})
        found = self._candidates(self.detector.forward_transformer(maps, cameras))
        size = torch.tensor([image.shape[3], image.shape[2]], dtype=image.dtype)
        found.update({name: found[name] * size for name in ('centers_2d', 'size_2d', 'centers_3d')})
        tangent = directions(found['centers_2d'], cam2img)[..., 0]
        boxes_3d, boxes_2d = lifted(found, cam2img, tangent=tangent)
        return (
            boxes_3d,
            found['prob'] * found['confidence'],
            found['labels'],
            boxes_2d,
            found['alpha'],
            found['prob'],
        )

    def reference(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> list[dict[str, Tensor]]:
        """See :class:`OnnxGraph`."""
        inputs, metas = self.preprocessed(image, cam2img)
        found = self._candidates(self.detector.forward_transformer(self.detector.extract_feat(inputs), metas))
        boxes_3d, boxes_2d = self.coder.boxes(found, metas)
        return by_image(
            {
                'bboxes_3d': boxes_3d,
                'scores': found['prob'] * found['confidence'],
                'labels': found['labels'],
                'bboxes_2d': boxes_2d,
                'alpha': found['alpha'],
            }
        )

    def _candidates(self, outs: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.coder.candidates(outs, topk=self.head.test_cfg['topk'])
