"""CenterPoint heads and detectors of the tests, and clouds, voxels and boxes for them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData

import mono_distill  # noqa: F401  (before mmdet3d)

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'


def model_config(name: str) -> Any:
    """``model`` of a base config, without its data preprocessor: voxels are made here."""
    model = Config.fromfile(CONFIGS / '_base_/models' / f'{name}.py').model
    model.pop('data_preprocessor')
    return model


def head_config(name: str = 'centerpoint_tiny', **changes: Any) -> dict[str, Any]:
    model = model_config(name)
    head = dict(model.pts_bbox_head, train_cfg=model.train_cfg.pts, test_cfg=model.test_cfg.pts)
    return {**copy.deepcopy(head), **changes}


def build(config: Any) -> Any:
    """Build a module of mmdet3d or ours, whatever scope other tests have left as the default."""
    from mmdet3d.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmdet3d'):
        model = MODELS.build(copy.deepcopy(config))
        model.init_weights()
    return model


def random_instances(count: int, seed: int = 0, velocity: bool = True) -> InstanceData:
    """Boxes on and around the map of +-51.2 m, in mmdet3d's form (z of the bottom)."""
    from mmdet3d.structures import LiDARInstance3DBoxes

    generator = torch.Generator().manual_seed(seed)
    low = torch.tensor([-56.0, -56.0, -3.0, 0.4, 0.3, 0.5, -4.0, -9.0, -9.0])
    high = torch.tensor([56.0, 56.0, 1.0, 13.0, 4.0, 4.0, 4.0, 9.0, 9.0])
    boxes = low + (high - low) * torch.rand(count, 9, generator=generator)
    columns = 9 if velocity else 7
    return InstanceData(
        bboxes_3d=LiDARInstance3DBoxes(boxes[:, :columns], box_dim=columns),
        labels_3d=torch.randint(10, (count,), generator=generator),
    )


def random_cloud(count: int, seed: int = 0) -> torch.Tensor:
    """Points (count, 5), in clumps so that pillars hold several."""
    generator = torch.Generator().manual_seed(seed)
    centres = (torch.rand(max(1, count // 8), 3, generator=generator) - 0.5) * torch.tensor([100.0, 100.0, 4.0])
    chosen = centres[torch.randint(len(centres), (count,), generator=generator)]
    points = chosen + torch.randn(count, 3, generator=generator) * torch.tensor([0.3, 0.3, 0.5])
    return torch.cat([points, torch.rand(count, 2, generator=generator)], dim=1)


def voxel_inputs(
    clouds: list[torch.Tensor], voxel_size: list[float], past: list[list[torch.Tensor]] | None = None
) -> dict[str, Any]:
    """Inputs as the data preprocessor gives them; ``past`` holds, per sample, K clouds."""
    from mmdet3d.models.data_preprocessors.voxelize import VoxelizationByGridShape

    layer = VoxelizationByGridShape(
        point_cloud_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0],
        voxel_size=voxel_size,
        max_num_points=20,
        max_voxels=(30000, 30000),
    )
    folded = list(clouds) + [past[b][k] for k in range(len(past[0])) for b in range(len(clouds))] if past else clouds
    parts = []
    for sample, cloud in enumerate(folded):
        if len(cloud):
            voxels, coors, num_points = layer(cloud)
            parts.append((voxels, num_points, torch.nn.functional.pad(coors, (1, 0), value=sample)))
    empty = (torch.zeros(0, 20, 5), torch.zeros(0, dtype=torch.int32), torch.zeros(0, 4, dtype=torch.int32))
    voxels, num_points, coors = (torch.cat(column) for column in zip(*(parts or [empty]), strict=True))
    inputs: dict[str, Any] = dict(points=list(clouds), voxels=dict(voxels=voxels, num_points=num_points, coors=coors))
    if past:
        inputs.update(num_past=len(past[0]), past_exists=torch.ones(len(clouds), len(past[0]), dtype=torch.bool))
    return inputs
