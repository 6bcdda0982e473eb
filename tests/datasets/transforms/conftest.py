"""Camera samples made by hand, as the loading transforms leave them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kitti_frames import random_picture

from mono_distill.datasets.transforms import LoadMonoKittiAnnotations

CAM2IMG = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.22], [0, 0, 1, 0.0027], [0, 0, 0, 1]])
LIDAR2CAM = np.array([[0.01, -0.9999, 0.0, 0.03], [0.0, 0.0, -1.0, -0.08], [0.9999, 0.01, 0.0, -0.27], [0, 0, 0, 1.0]])


@pytest.fixture
def make_sample() -> Callable[..., dict[str, Any]]:
    """Return a function that makes a loaded sample with ``count`` random objects."""

    def make(seed: int = 0, count: int = 5, size: tuple[int, int] = (400, 120)) -> dict[str, Any]:
        rng = np.random.RandomState(seed)
        camera = CAM2IMG.copy()
        camera[:2] *= size[0] / 1242
        low, high = [-8, 0.5, 5, 3, 1, 1, -3.1], [8, 2, 60, 5, 2, 2, 3.1]
        boxes = rng.uniform(low, high, (count, 7)).astype(np.float32)
        corners = rng.uniform(0, 100, (count, 2))
        results = dict(
            sample_id=f'{seed:06d}',
            img=random_picture(size[1], size[0]),
            depth_map=rng.uniform(1, 80, (size[1], size[0])).astype(np.float32),
            ori_shape=(size[1], size[0]),
            cam2img=camera,
            ori_cam2img=camera,
            lidar2cam=LIDAR2CAM,
            classes=('Pedestrian', 'Car', 'Cyclist'),
            ann_info=dict(
                gt_bboxes_3d=boxes,
                gt_labels_3d=rng.randint(0, 3, count),
                gt_bboxes=np.concatenate([corners, corners + rng.uniform(5, 90, (count, 2))], axis=1).astype(
                    np.float32
                ),
                gt_alpha=rng.uniform(-3.1, 3.1, count).astype(np.float32),
                gt_truncated=np.zeros(count, np.float32),
                gt_occluded=np.zeros(count, np.int64),
                gt_difficulty=np.zeros(count, np.int64),
            ),
        )
        return LoadMonoKittiAnnotations()(results)

    return make
