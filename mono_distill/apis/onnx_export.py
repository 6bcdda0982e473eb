"""A detector as an ONNX file, checked in onnxruntime before it gets its name."""

from __future__ import annotations

import importlib
import json
import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mono_distill.apis.inference.images import ImageSource
from mono_distill.apis.inference.pipeline import InferencePipeline
from mono_distill.apis.inferencer import detector_config, load_detector
from mono_distill.apis.onnx_compare import compare_candidates, worst
from mono_distill.apis.onnx_graphs import OnnxGraph, onnx_graph
from mono_distill.apis.onnx_symbolics import exportable_operators
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError, MonoDistillError
from mono_distill.version import __version__

TOLERANCE = 1e-3
# grid_sample came with 16; 17 is what onnxruntime knows since 2022.
OPSET = 17


class OnnxExportError(MonoDistillError, RuntimeError):
    """The graph could not be written, or onnxruntime computes something else than PyTorch."""


@dataclass(frozen=True)
class OnnxReport:
    """What was written and how well it agrees.

    Attributes:
        path: The file.
        input_size: Width and height of the pictures it takes.
        batch_sizes: Sizes of the batches it was checked with.
        compared: Candidates that were compared.
        max_difference: Per output the largest absolute difference from PyTorch (metres, pixels, radians, probability).
    """

    path: Path
    input_size: tuple[int, int]
    batch_sizes: tuple[int, ...]
    compared: int
    max_difference: Mapping[str, float]

    def __str__(self) -> str:
        differences = ', '.join(f'{name} {value:.1e}' for name, value in self.max_difference.items())
        return (
            f'{self.path}: pictures of {self.input_size[0]}x{self.input_size[1]}, batches of '
            f'{" and ".join(map(str, self.batch_sizes))} checked in onnxruntime; largest differences from PyTorch over '
            f'{self.compared} candidates: {differences}'
        )


def export_onnx(
    config: str | os.PathLike[str] | Config,
    checkpoint: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    opset: int = OPSET,
    dynamic_batch: bool = True,
    cfg_options: Mapping[str, Any] | None = None,
) -> OnnxReport:
    """Write network and decoding as one ONNX graph and check it against PyTorch.

    The graph takes ``image`` and ``cam2img`` (DID-M3D's also ``magnification``) and gives the K best candidates an
    image; shapes and meanings are those of :class:`mono_distill.apis.onnx_graphs.OnnxGraph`. The file's metadata hold
    ``classes``, ``score_thr`` (on ``heat``), ``input_size`` and ``channel_order``. On random pictures the result of
    onnxruntime is compared with that of the detector's own decoding, candidate by candidate. ``out`` appears only if
    both agree.

    Args:
        config: Config of a detector or of a distillation (its student is exported).
        checkpoint: Its weights.
        out: The file, ``.onnx``.
        opset: Version of the ONNX operators.
        dynamic_batch: Whether the number of pictures is free; otherwise it is 1.
        cfg_options: Overrides of config settings.

    Raises:
        ConfigError: ``onnx`` or ``onnxruntime`` is not installed, the head has no graph, the detector needs more than
            pictures, or ``out`` does not end in ``.onnx``.
        CheckpointError: The checkpoint does not fit.
        OnnxExportError: PyTorch cannot write the graph, or its results differ by more than a thousandth.
    """
    target = Path(out)
    if target.suffix != '.onnx':
        raise ConfigError(f"the name of the graph must end in .onnx, got '{target}'")
    onnx, runtime = _optional('onnx'), _optional('onnxruntime')
    loaded = detector_config(config, dict(cfg_options or {}))
    pipeline = InferencePipeline(loaded)
    graph = onnx_graph(load_detector(loaded, checkpoint))
    size = _input_size(pipeline)
    with atomic_path(target) as temporary:
        _write(graph, _inputs(graph, 2 if dynamic_batch else 1, size, seed=0), temporary, opset, dynamic_batch)
        _annotate(onnx, temporary, graph, pipeline, size)
        session = runtime.InferenceSession(str(temporary), providers=['CPUExecutionProvider'])
        batches = (1, 3) if dynamic_batch else (1,)
        compared, differences = _check(graph, session, batches, size)
    if not compared:
        logging.getLogger('mono_distill').warning(
            '%s: the detector finds nothing in random pictures, so only the heats were compared', target
        )
    return OnnxReport(target, size, batches, compared, differences)


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"ONNX export needs the package {name}: pip install 'mono_distill[onnx]', or pip install onnx onnxruntime"
        ) from error


def _input_size(pipeline: InferencePipeline) -> tuple[int, int]:
    """Return width and height of what the pipeline makes of a picture of KITTI's size."""
    blank = np.zeros((375, 1242, 3), np.uint8)
    camera = np.eye(4)
    height, width = pipeline(blank, camera, ImageSource('blank'))['inputs']['img'].shape[-2:]
    return int(width), int(height)


def _inputs(graph: OnnxGraph, batch: int, size: tuple[int, int], seed: int) -> tuple[Tensor, ...]:
    """Return random pictures, coarse and fine patterns mixed, and a different camera (and magnification) for each."""
    generator = torch.Generator().manual_seed(seed)
    fine = torch.rand(batch, 3, size[1], size[0], generator=generator)
    coarse = torch.rand(batch, 3, 6, 20, generator=generator)
    coarse = torch.nn.functional.interpolate(coarse, size=(size[1], size[0]), mode='bilinear')
    image = 255 * (0.3 * fine + 0.7 * coarse)
    cam2img = torch.zeros(batch, 3, 4)
    scale = size[0] / 1242
    variation = 1 + 0.1 * torch.arange(batch)
    cam2img[:, 0, 0] = cam2img[:, 1, 1] = 721.5 * scale * variation
    cam2img[:, 0, 2], cam2img[:, 1, 2], cam2img[:, 2, 2] = size[0] / 2, size[1] / 2, 1
    cam2img[:, 0, 3] = 45 * scale * variation
    given = dict(image=image, cam2img=cam2img, magnification=scale * variation.flip(0))
    return tuple(given[name] for name in graph.input_names)


def _write(graph: OnnxGraph, inputs: tuple[Tensor, ...], path: Path, opset: int, dynamic_batch: bool) -> None:
    names = [*graph.input_names, *graph.output_names]
    axes = {name: {0: 'batch'} for name in names} if dynamic_batch else None
    try:
        with torch.no_grad(), exportable_operators(opset), warnings.catch_warnings():
            # Checks of shapes are taken for constants, which they are: only the batch varies, and it is checked below.
            warnings.simplefilter('ignore')
            # The tracing exporter: the other one mistypes torch.stack of integers and floats (torch 2.13).
            torch.onnx.export(
                graph,
                inputs,
                str(path),
                input_names=list(graph.input_names),
                output_names=list(graph.output_names),
                opset_version=opset,
                dynamic_axes=axes,
                dynamo=False,
            )
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise OnnxExportError(f'PyTorch cannot write this graph with opset {opset}: {error}') from error


def _annotate(onnx: Any, path: Path, graph: OnnxGraph, pipeline: InferencePipeline, size: tuple[int, int]) -> None:
    """Add what a program needs that has the file and nothing else."""
    model = onnx.load(str(path))
    onnx.helper.set_model_props(
        model,
        {
            'classes': json.dumps(list(pipeline.classes)),
            'score_thr': str(graph.score_thr),
            'input_size': json.dumps(list(size)),
            'channel_order': 'BGR, 0 to 255, not normalised',
            'producer': f'mono_distill {__version__}',
        },
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _check(
    graph: OnnxGraph, session: Any, batches: tuple[int, ...], size: tuple[int, int]
) -> tuple[int, dict[str, float]]:
    """Compare onnxruntime with PyTorch; return how many candidates, and the largest differences."""
    compared, differences, relative = 0, dict.fromkeys(graph.output_names, 0.0), 0.0
    for seed, batch in enumerate(batches, start=1):
        inputs = _inputs(graph, batch, size, seed)
        given = {name: value.numpy() for name, value in zip(graph.input_names, inputs, strict=True)}
        got = dict(zip(graph.output_names, session.run(list(graph.output_names), given), strict=True))
        with torch.no_grad():
            heat = graph(*inputs)[graph.output_names.index('heat')].numpy()
            expected = graph.reference(*inputs)
        if got['heat'].shape != heat.shape:
            raise OnnxExportError(f'a batch of {batch} gives heat of shape {got["heat"].shape}, not {heat.shape}')
        for index, candidates in enumerate(expected):
            wanted = {name: value.numpy() for name, value in candidates.items()} | {'heat': heat[index]}
            result = compare_candidates(wanted, {name: value[index] for name, value in got.items()})
            compared += result.compared
            relative = max(relative, result.relative)
            differences = worst(differences, result.absolute)
    if not relative <= TOLERANCE:
        raise OnnxExportError(
            f'onnxruntime and PyTorch differ by {relative:.1e} (relative, allowed {TOLERANCE:.0e}); largest absolute '
            f'differences: {differences}. Nothing was written; try another opset'
        )
    return compared, differences
