"""A tiny MonoDLE with random weights, to be pointed at pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

CONFIG = Path(__file__).resolve().parent.parent / 'configs' / 'students' / 'monodle_tiny_kitti.py'
# Focal lengths and principal point of a picture of 160x48 pixels.
CAMERA = (100.0, 100.0, 80.0, 24.0)


def write_weights(path: Path, config_file: Path = CONFIG) -> Path:
    """Write a checkpoint with random weights; heats differ and pass the threshold, so there are 50 objects an image."""
    config = Config.fromfile(config_file)
    init_default_scope('mmdet3d')
    torch.manual_seed(0)
    state = MODELS.build(config.model).state_dict()
    # As it is, many heats are 1.
    for name in [name for name in state if name.endswith('heatmap.2.weight')]:
        state[name] *= 0.05
    torch.save({'state_dict': state, 'meta': {}}, path)
    return path


def picture(height: int = 48, width: int = 160, seed: int = 0) -> np.ndarray:
    """Return noise, blue-green-red."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
