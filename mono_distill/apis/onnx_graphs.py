"""Detectors as graphs of tensors: picture and camera matrix in, boxes out. What :mod:`onnx_export` writes.

A head is supported if it has an :class:`OnnxGraph` here; :func:`register_onnx_graph` adds one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from mmdet3d.structures import Det3DDataSample
from torch import Tensor, nn

from mono_distill.models.task_modules.heading_bin_coder import wrap_angle
from mono_distill.models.task_modules.mono_center_coder import MonoCenterCoder
from mono_distill.utils.errors import ConfigError

_GRAPHS: dict[str, type[OnnxGraph]] = {}


class OnnxGraph(nn.Module):
    """A detector with the decoding of its K best candidates, all inside the graph.

    Inputs of ``forward``: pictures (B, 3, H, W) float32, blue-green-red in [0, 255], already resized to the network's
    input; and camera matrices (B, 3, 4) float32 *of these resized pictures*. Outputs: :attr:`output_names`, in this
    order and with these meanings, for K candidates an image:

    * ``bboxes_3d`` (B, K, 7): x, y of the bottom, z, length, height, width, rotation about y; camera frame, metres;
    * ``scores`` (B, K) and ``labels`` (B, K) int64;
    * ``bboxes_2d`` (B, K, 4): left, top, right, bottom in pixels of the resized picture;
    * ``alpha`` (B, K);
    * ``heat`` (B, K): what the detector's threshold applies to (``test_cfg.score_thr``).

    Args:
        detector: The detector, in evaluation mode, on the CPU.

    Raises:
        ConfigError: An option of the detector cannot be a graph.
    """

    output_names: ClassVar[tuple[str, ...]] = ('bboxes_3d', 'scores', 'labels', 'bboxes_2d', 'alpha', 'heat')

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    @property
    def score_thr(self) -> float:
        """Threshold on ``heat`` with which the detector itself reports objects."""
        raise NotImplementedError

    def forward(self, image: Tensor, cam2img: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of :attr:`output_names`."""
        raise NotImplementedError

    def reference(self, image: Tensor, cam2img: Tensor) -> list[dict[str, Tensor]]:
        """Return per image the candidates as the detector's own code decodes them, without threshold.

        The graph is checked against it. Keys are those of :attr:`output_names` without ``heat``.
        """
        raise NotImplementedError


def register_onnx_graph(head: str) -> Callable[[type[OnnxGraph]], type[OnnxGraph]]:
    """Make a graph known for the head class of this name."""

    def register(graph: type[OnnxGraph]) -> type[OnnxGraph]:
        _GRAPHS[head] = graph
        return graph

    return register


def onnx_graph(detector: Any) -> OnnxGraph:
    """Wrap a detector.

    Raises:
        ConfigError: No graph is known for its head.
    """
    head = type(getattr(detector, 'bbox_head', None)).__name__
    if head not in _GRAPHS:
        raise ConfigError(
            f'{type(detector).__name__} with {head} cannot be exported to ONNX; heads that can: '
            f'{", ".join(sorted(_GRAPHS))}. mono_distill.apis.onnx_graphs.register_onnx_graph adds others'
        )
    return _GRAPHS[head](detector).eval()


@register_onnx_graph('MonoDLEHead')
class MonoDLEGraph(OnnxGraph):
    """:class:`mono_distill.models.MonoDLEHead` with :class:`MonoCenterCoder`.

    Normalisation is part of the graph. The lifting is that of :meth:`MonoCenterCoder.boxes` for pictures that are their
    own originals: an isotropic resize moves pixels and camera matrix alike and leaves 3D boxes where they are.
    """

    def __init__(self, detector: Any) -> None:
        super().__init__(detector)
        self.head = detector.bbox_head
        self.coder: MonoCenterCoder = self.head.bbox_coder
        if type(self.coder) is not MonoCenterCoder or self.coder.decode_mode != 'exact':
            raise ConfigError(
                f'ONNX export knows MonoCenterCoder with decode_mode exact, this head has {type(self.coder).__name__} '
                f'with {self.coder.decode_mode}, which imitates released code and needs the size of the original '
                'picture; set model.bbox_head.bbox_coder.decode_mode=exact'
            )
        if getattr(detector.data_preprocessor, 'modality', None) != 'rgb':
            raise ConfigError('ONNX export takes pictures: the data preprocessor must be Mono3DDataPreprocessor (rgb)')

    @property
    def score_thr(self) -> float:
        """Threshold on the heatmap's peak."""
        return float(self.head.test_cfg['score_thr'])

    def forward(self, image: Tensor, cam2img: Tensor) -> tuple[Tensor, ...]:
        """See :class:`OnnxGraph`."""
        preprocessor = self.detector.data_preprocessor
        outs = self._outs((image.flip(1) - preprocessor.mean) / preprocessor.std)
        peaks = self.coder.peaks(
            outs, topk=self.head.test_cfg['topk'], local_maximum_kernel=self.head.test_cfg['local_maximum_kernel']
        )
        depth = peaks['depth']
        focal = torch.stack([cam2img[:, 0, 0], cam2img[:, 1, 1]], dim=-1).unsqueeze(1)
        center, shift = cam2img[:, None, :2, 2], cam2img[:, None, :2, 3]
        rays = (peaks['centers_3d'] - center) / focal
        x, y = (rays * depth.unsqueeze(-1) - shift / focal).unbind(-1)
        height, width, length = peaks['size_3d'].unbind(-1)
        yaw = wrap_angle(peaks['alpha'] + torch.atan(rays[..., 0]))
        half = peaks['size_2d'] / 2
        return (
            torch.stack([x, y + height / 2, depth, length, height, width, yaw], dim=-1),
            peaks['heat'] * peaks['confidence'],
            peaks['labels'],
            torch.cat([peaks['centers_2d'] - half, peaks['centers_2d'] + half], dim=-1),
            peaks['alpha'],
            peaks['heat'],
        )

    def reference(self, image: Tensor, cam2img: Tensor) -> list[dict[str, Tensor]]:
        """See :class:`OnnxGraph`."""
        samples = [_sample(matrix, (image.shape[2], image.shape[3])) for matrix in cam2img]
        batch = self.detector.data_preprocessor({'inputs': {'img': list(image)}, 'data_samples': samples})
        metas = [sample.metainfo for sample in samples]
        found = self.coder.decode(
            self._outs(batch['inputs']['imgs']), metas, **{**self.head.test_cfg, 'score_thr': 0.0}
        )
        return [
            {
                'bboxes_3d': one.bboxes_3d.tensor,
                'scores': one.scores_3d,
                'labels': one.labels_3d,
                'bboxes_2d': one.bboxes_2d,
                'alpha': one.alpha,
            }
            for one in found
        ]

    def _outs(self, imgs: Tensor) -> dict[str, Tensor]:
        outs: dict[str, Tensor] = self.head(self.detector.extract_feat({'imgs': imgs}))
        return outs


def _sample(cam2img: Tensor, shape: tuple[int, int]) -> Det3DDataSample:
    """Return the data sample of a picture that is its own original."""
    matrix = np.eye(4)
    matrix[:3] = cam2img.numpy()
    metainfo = dict(cam2img=matrix, ori_cam2img=matrix, trans_mat=np.eye(3), ori_shape=shape, img_shape=shape)
    return Det3DDataSample(metainfo=metainfo)
