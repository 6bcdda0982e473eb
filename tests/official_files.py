"""Checkpoints in the form of the official repositories, made up from the lists of their keys."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

GOLDEN = Path(__file__).parent / 'data' / 'golden'
PAIR = {'student': 'module.centernet_rgb.', 'teacher': 'module.centernet_depth.'}
Shapes = dict[str, tuple[tuple[int, ...], torch.dtype]]


def official_shapes(model: str) -> Shapes:
    """Return name -> (shape, type) of an official state dict: ``'monodle'``, ``'didm3d'`` or ``'monodetr'``."""
    lines = (GOLDEN / f'keys_{model}.txt').read_text().splitlines()
    rows = [line.split('\t') for line in lines if not line.startswith('#')]
    return {
        name: (tuple(int(size) for size in shape.strip('()').split(',') if size.strip()), getattr(torch, kind))
        for name, shape, kind in rows
    }


def small_state(model: str, prefix: str = '', start: int = 0) -> dict[str, torch.Tensor]:
    """Return an official state dict whose i-th tensor is filled with ``start + i``, and takes no space in a file."""
    return {
        prefix + name: torch.tensor(start + i, dtype=kind).expand(shape)
        for i, (name, (shape, kind)) in enumerate(official_shapes(model).items())
    }


def pair_state(model: str) -> dict[str, torch.Tensor]:
    """Return the state dict of the official distillation: the student counts from 0, the teacher from 1000."""
    adapters = {f'module.adapt_layer{stride}.{i}.weight': torch.ones(1) for stride in (8, 16, 32) for i in (0, 2)}
    student = small_state(model, PAIR['student'])
    return student | small_state(model, PAIR['teacher'], 1000) | adapters | {'module.rgb_fs.abf.weight': torch.ones(1)}


def golden_state(model: str) -> dict[str, torch.Tensor]:
    """Return the weights with which the golden files of MonoDLE and DID-M3D were computed."""
    state = {name: _numbered(name, shape) for name, (shape, _) in official_shapes(model).items()}
    state['size_2d.2.bias'] = torch.tensor([14.0, 9.0])
    state['size_2d.2.weight'] *= 0.2
    state['offset_2d.2.weight'] *= 0.2
    return state


def save_official(path: Path, state: dict[str, Any], **changes: Any) -> Path:
    """Write a checkpoint as the official trainers do, with a best result that is a numpy scalar."""
    content = dict(epoch=140, model_state=state, optimizer_state={}, best_result=np.float64(18.5), best_epoch=120)
    torch.save(content | changes, path)
    return path


def _numbered(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    draw = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    if name.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith('running_var'):
        values = draw.uniform(0.5, 1.5, shape)
    elif name.endswith('running_mean'):
        values = 0.1 * draw.standard_normal(shape)
    elif name.endswith('bias'):
        values = 0.02 * draw.standard_normal(shape)
    elif len(shape) == 1:
        values = 1 + 0.1 * draw.standard_normal(shape)
    else:
        values = draw.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    return torch.from_numpy(values.astype(np.float32))
