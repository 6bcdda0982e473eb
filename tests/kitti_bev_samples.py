"""Made-up samples of picture, points and LiDAR boxes, and the tiny detectors of the configs for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet3d.structures import Box3DMode, LiDARInstance3DBoxes
from mmdet3d.structures.points import LiDARPoints
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mono_distill.datasets import PackKittiBEVInputs
from mono_distill.datasets.kitti.projection import project_cam_to_img, transform_points
from mono_distill.datasets.transforms.kitti_bev_depth import KittiBEVDepth

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
SHAPE = (48, 160)
# The principal point is not the middle of the picture, and the camera is not at the LiDAR.
CAM2IMG = np.array([[100.0, 0, 71.5, 4.5], [0, 100, 22, 0.2], [0, 0, 1, 0.0027], [0, 0, 0, 1]])
CARS = [[12.0, 1.5, -1.7, 3.9, 1.6, 1.5, 0.3], [20.0, -4.0, -1.6, 4.2, 1.7, 1.6, -1.2]]


def lidar2cam() -> np.ndarray:
    """Return LiDAR to camera, tilted by a degree or so as KITTI's."""
    axes = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])
    cosine, sine = np.cos(0.015), np.sin(0.015)
    matrix = np.eye(4)
    matrix[:3, :3] = axes @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    matrix[:3, 3] = (0.06, -0.08, -0.27)
    return matrix


def bev_results(seed: int = 0, cars: Any = CARS, **changes: Any) -> dict[str, Any]:
    """Return a sample as it is before the flip."""
    rng = np.random.default_rng(seed)
    boxes = np.array(cars, dtype=np.float32).reshape(-1, 7)
    scatter = rng.uniform((4, -12, -2, 0), (40, 12, 1, 1), (4000, 4))
    on_cars = np.concatenate([np.r_[box[:3], 0.5] + rng.uniform(-0.8, 0.8, (200, 4)) for box in boxes] or [scatter[:1]])
    points = np.concatenate([scatter, on_cars]).astype(np.float32)
    results: dict[str, Any] = {
        'sample_id': f'{seed:06d}',
        'sample_idx': seed,
        'img': rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8),
        'img_shape': SHAPE,
        'ori_shape': SHAPE,
        'cam2img': CAM2IMG.copy(),
        'lidar2cam': lidar2cam(),
        'points': LiDARPoints(points, points_dim=4),
        'gt_bboxes_3d': LiDARInstance3DBoxes(boxes),
        'gt_labels_3d': np.zeros(len(boxes), dtype=np.int64),
        'box_type_3d': LiDARInstance3DBoxes,
        'box_mode_3d': Box3DMode.LIDAR,
        'labelled': True,
    }
    return results | changes


def pixels_of(points: np.ndarray, results: dict[str, Any]) -> np.ndarray:
    """Project points of the LiDAR frame by the sample's calibration."""
    return project_cam_to_img(transform_points(points, results['lidar2cam']), results['cam2img'])[0]


def bev_batch(count: int = 2, *, depth: bool = True, **changes: Any) -> dict[str, Any]:
    """Collate samples, with depth made of their points."""
    samples = [bev_results(seed, **changes) for seed in range(count)]
    for sample in samples if depth else ():
        KittiBEVDepth(8)(sample)
    return pseudo_collate([PackKittiBEVInputs()(sample) for sample in samples])


def tiny_model(name: str, **changes: Any) -> Any:
    """Build the detector of a config, for example ``'students/caddn_tiny_kitti'``, with changes to its options."""
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope('mmdet3d')
    config = Config.fromfile(CONFIGS / f'{name}.py').model
    config.update(changes)
    torch.manual_seed(0)
    return MODELS.build(config)


def prepared(model: Any, batch: dict[str, Any], training: bool = True) -> dict[str, Any]:
    """Run the model's preprocessor."""
    return model.data_preprocessor(batch, training)
