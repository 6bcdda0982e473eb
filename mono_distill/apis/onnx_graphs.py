"""Detectors as graphs of tensors: picture and camera matrix in, boxes out. What :mod:`onnx_export` writes.

A head is supported if it has an :class:`OnnxGraph`; :func:`register_onnx_graph` adds one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from mmdet3d.structures import Det3DDataSample
from torch import Tensor, nn

from mono_distill.models.task_modules.heading_bin_coder import wrap_angle
from mono_distill.models.task_modules.mono_center_coder import MonoCenterCoder
from mono_distill.utils.errors import ConfigError

_GRAPHS: dict[str, type[OnnxGraph]] = {}
# Modules that register graphs of this package's other heads.
_MODULES = ('onnx_did', 'onnx_monodetr')


class OnnxGraph(nn.Module):
    """A detector with the decoding of its K best candidates, all inside the graph.

    Inputs of ``forward``, with the names :attr:`input_names`: pictures (B, 3, H, W) float32, blue-green-red in
    [0, 255], already resized to the network's input; camera matrices (B, 3, 4) float32 *of these resized pictures*;
    and what else a head needs, (B,) float32, see its graph. Outputs: :attr:`output_names`, in this order and with these
    meanings, for K candidates an image:

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

    input_names: ClassVar[tuple[str, ...]] = ('image', 'cam2img')
    output_names: ClassVar[tuple[str, ...]] = ('bboxes_3d', 'scores', 'labels', 'bboxes_2d', 'alpha', 'heat')

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector
        self.head = detector.bbox_head

    @property
    def score_thr(self) -> float:
        """Threshold on ``heat`` with which the detector itself reports objects."""
        raise NotImplementedError

    def forward(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in the order of :attr:`output_names`."""
        raise NotImplementedError

    def reference(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> list[dict[str, Tensor]]:
        """Return per image the candidates as the detector's own code decodes them, without threshold.

        The graph is checked against it. Keys are those of :attr:`output_names` without ``heat``.
        """
        raise NotImplementedError

    def normalised(self, image: Tensor) -> Tensor:
        """Return what the detector's preprocessor makes of the pictures."""
        preprocessor = self.detector.data_preprocessor
        normalised: Tensor = (image.flip(1) - preprocessor.mean) / preprocessor.std
        return normalised

    def preprocessed(
        self, image: Tensor, cam2img: Tensor, magnification: Tensor | None = None
    ) -> tuple[dict[str, Tensor], list[Mapping[str, Any]]]:
        """Return the detector's own inputs for :meth:`reference`, and the meta information of the pictures.

        Args:
            image: See ``forward``.
            cam2img: See ``forward``.
            magnification: (B,), pixels of the resized pictures per pixel of the originals; by default 1.
        """
        factors = torch.ones(len(image)) if magnification is None else magnification
        samples = [
            _sample(matrix, (image.shape[2], image.shape[3]), float(factor))
            for matrix, factor in zip(cam2img, factors, strict=True)
        ]
        batch = self.detector.data_preprocessor({'inputs': {'img': list(image)}, 'data_samples': samples})
        return batch['inputs'], [sample.metainfo for sample in samples]


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
    for module in _MODULES:
        importlib.import_module(f'mono_distill.apis.{module}')
    head = type(getattr(detector, 'bbox_head', None)).__name__
    if head not in _GRAPHS:
        raise ConfigError(
            f'{type(detector).__name__} with {head} cannot be exported to ONNX; heads that can: '
            f'{", ".join(sorted(_GRAPHS))}. mono_distill.apis.onnx_graphs.register_onnx_graph adds others'
        )
    return _GRAPHS[head](detector).eval()


def check_takes_pictures(detector: Any) -> None:
    """Refuse a detector whose preprocessor is not the one that :meth:`OnnxGraph.normalised` imitates.

    Raises:
        ConfigError: It is another one.
    """
    if getattr(detector.data_preprocessor, 'modality', None) != 'rgb':
        raise ConfigError('ONNX export takes pictures: the data preprocessor must be Mono3DDataPreprocessor (rgb)')


def lifted(found: Mapping[str, Tensor], cam2img: Tensor, *, tangent: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Turn candidates into boxes of the resized picture's camera.

    The lifting is that of :meth:`MonoCenterCoder.boxes` for pictures that are their own originals: an isotropic resize
    moves pixels and camera matrix alike and leaves 3D boxes where they are.

    Args:
        found: ``depth`` and ``alpha`` (B, K), ``centers_2d``, ``size_2d``, ``centers_3d`` (B, K, 2) in input pixels,
            ``size_3d`` (B, K, 3) h, w, l.
        cam2img: (B, 3, 4).
        tangent: (B, K), of the angle between alpha and yaw; by default that of the projected 3D centre.

    Returns:
        ``bboxes_3d`` and ``bboxes_2d``, see :class:`OnnxGraph`.
    """
    depth = found['depth']
    rays = directions(found['centers_3d'], cam2img)
    x, y = (rays * depth.unsqueeze(-1) - cam2img[:, None, :2, 3] / focal_lengths(cam2img)).unbind(-1)
    height, width, length = found['size_3d'].unbind(-1)
    yaw = wrap_angle(found['alpha'] + torch.atan(rays[..., 0] if tangent is None else tangent))
    half = found['size_2d'] / 2
    return (
        torch.stack([x, y + height / 2, depth, length, height, width, yaw], dim=-1),
        torch.cat([found['centers_2d'] - half, found['centers_2d'] + half], dim=-1),
    )


def focal_lengths(cam2img: Tensor) -> Tensor:
    """Return fu and fv (B, 1, 2) of camera matrices (B, 3, 4)."""
    return torch.stack([cam2img[:, 0, 0], cam2img[:, 1, 1]], dim=-1).unsqueeze(1)


def directions(pixels: Tensor, cam2img: Tensor) -> Tensor:
    """Return (u - cu) / fu and (v - cv) / fv (B, K, 2) of pixels (B, K, 2)."""
    return (pixels - cam2img[:, None, :2, 2]) / focal_lengths(cam2img)


@register_onnx_graph('MonoDLEHead')
class MonoDLEGraph(OnnxGraph):
    """:class:`mono_distill.models.MonoDLEHead` with :class:`MonoCenterCoder`; normalisation is part of the graph."""

    def __init__(self, detector: Any) -> None:
        super().__init__(detector)
        check_takes_pictures(detector)
        self.coder: MonoCenterCoder = self.head.bbox_coder
        if type(self.coder) is not MonoCenterCoder or self.coder.decode_mode != 'exact':
            raise ConfigError(
                f'ONNX export knows MonoCenterCoder with decode_mode exact, this head has {type(self.coder).__name__} '
                f'with {self.coder.decode_mode}, which imitates released code and needs the size of the original '
                'picture; set model.bbox_head.bbox_coder.decode_mode=exact'
            )

    @property
    def score_thr(self) -> float:
        """Threshold on the heatmap's peak."""
        return float(self.head.test_cfg['score_thr'])

    def forward(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> tuple[Tensor, ...]:
        """See :class:`OnnxGraph`."""
        found = self.coder.peaks(
            self._outs({'imgs': self.normalised(image)}),
            topk=self.head.test_cfg['topk'],
            local_maximum_kernel=self.head.test_cfg['local_maximum_kernel'],
        )
        boxes_3d, boxes_2d = lifted(found, cam2img)
        scores = found['heat'] * found['confidence']
        return boxes_3d, scores, found['labels'], boxes_2d, found['alpha'], found['heat']

    def reference(self, image: Tensor, cam2img: Tensor, *further: Tensor) -> list[dict[str, Tensor]]:
        """See :class:`OnnxGraph`."""
        inputs, metas = self.preprocessed(image, cam2img)
        found = self.coder.decode(self._outs(inputs), metas, **{**self.head.test_cfg, 'score_thr': 0.0})
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

    def _outs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outs: dict[str, Tensor] = self.head(self.detector.extract_feat(inputs))
        return outs


def by_image(candidates: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Split fields (B, K, ...) into one dictionary an image."""
    parts = zip(*(value.unbind() for value in candidates.values()), strict=True)
    return [dict(zip(candidates, values, strict=True)) for values in parts]


def _sample(cam2img: Tensor, shape: tuple[int, int], magnification: float) -> Det3DDataSample:
    """Return the data sample of a picture that was resized by the factor ``magnification``, without cutting."""
    matrix, original = np.eye(4), np.eye(4)
    matrix[:3] = original[:3] = cam2img.numpy()
    original[:2] /= magnification
    metainfo = dict(
        cam2img=matrix,
        ori_cam2img=original,
        trans_mat=np.diag([magnification, magnification, 1.0]),
        ori_shape=(shape[0] / magnification, shape[1] / magnification),
        img_shape=shape,
    )
    return Det3DDataSample(metainfo=metainfo)
