"""Multi-view students of the tests, and rigs, images and boxes for them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

import mono_distill  # noqa: F401  (before mmdet3d)
from mono_distill.synthetic.nuscenes.rig import CAMERAS, LIDAR, scene_rig

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
# The order of the data.
ORDER = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_FRONT_LEFT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_BACK_RIGHT')
FULL_SIZE = (900, 1600)
IMAGE_MATRIX_SIZE = (64, 192)


def student_config(name: str, **changes: Any) -> Any:
    """``model`` of a base config with changes of nested options."""
    config = Config.fromfile(CONFIGS / '_base_/models' / f'{name}.py')
    config.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    if 'pretrained' in config.model.img_backbone:
        config.model.img_backbone.pretrained = None
    return config.model


def build_student(config: Any) -> Any:
    """Build a detector, whatever scope other tests have left as the default."""
    from mmdet3d.registry import MODELS

    with DefaultScope.overwrite_default_scope('mmdet3d'):
        torch.manual_seed(0)
        model = MODELS.build(copy.deepcopy(config))
        model.init_weights()
    return model


def smallest(name: str, **changes: Any) -> Any:
    """The tiny student with a quarter of its cells and fewer channels still."""
    small = {
        'img_backbone.base_channels': 8,
        'img_neck.in_channels': [8, 16, 32, 64],
        'img_neck.out_channels': [8, 8, 8, 8],
        'view_transformer.in_channels': 32,
        'view_transformer.out_channels': 8,
        'view_transformer.x_bound': [-51.2, 51.2, 3.2],
        'view_transformer.y_bound': [-51.2, 51.2, 3.2],
        'bev_backbone.in_channels': 8 * changes.get('num_frames', 2 if '4d' in name else 1),
        'bev_backbone.base_channels': 16,
        'bev_neck.in_channels': [16, 32, 64],
        'bev_neck.out_channels': [16, 16, 16],
        'pts_bbox_head.in_channels': 48,
        'train_cfg.pts.out_size_factor': 4,
        'pts_bbox_head.bbox_coder.out_size_factor': 4,
    }
    if 'depth_net' in student_config(name).view_transformer:
        small['view_transformer.depth_net.mid_channels'] = 16
    return student_config(name, **{**small, **changes})


def rig_matrices() -> tuple[torch.Tensor, torch.Tensor]:
    """Intrinsics (N, 4, 4) of 1600x900 images and poses (N, 4, 4) in the LiDAR frame of nuScenes' car, float64."""
    mounts = scene_rig(0, 0, 1.0)
    lidar2ego = mounts[LIDAR].sensor2ego
    assert set(ORDER) == set(CAMERAS)
    intrinsics, poses = [], []
    for channel in ORDER:
        full = np.eye(4)
        full[:3, :3] = mounts[channel].cam2img
        intrinsics.append(full)
        poses.append(np.linalg.inv(lidar2ego) @ mounts[channel].sensor2ego)
    return torch.from_numpy(np.stack(intrinsics)), torch.from_numpy(np.stack(poses))


def image_matrix(size: tuple[int, int], *, angle: float = 0.0, flip: bool = False, zoom: float = 1.0) -> torch.Tensor:
    """An augmentation (4, 4) that takes a 1600x900 image to ``size``: resize, crop from the top, flip, rotate."""
    height, width = size
    scale = width / FULL_SIZE[1] * zoom
    turn = torch.eye(2, dtype=torch.float64) * scale
    shift = -torch.tensor([FULL_SIZE[1] * scale - width, 2 * (FULL_SIZE[0] * scale - height)], dtype=torch.float64) / 2
    if flip:
        mirror = torch.diag(torch.tensor([-1.0, 1.0], dtype=torch.float64))
        turn, shift = mirror @ turn, mirror @ shift + torch.tensor([width, 0.0], dtype=torch.float64)
    radians = torch.deg2rad(torch.tensor(angle, dtype=torch.float64))
    about = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    rotation = torch.stack([torch.stack([radians.cos(), radians.sin()]), torch.stack([-radians.sin(), radians.cos()])])
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2], matrix[:2, 3] = rotation @ turn, rotation @ (shift - about) + about
    return matrix


def planar(angle: float = 0.0, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> torch.Tensor:
    """A pose (4, 4): turned by ``angle`` degrees about z, then moved."""
    radians = np.deg2rad(angle)
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:2, :2] = torch.tensor([[np.cos(radians), -np.sin(radians)], [np.sin(radians), np.cos(radians)]])
    matrix[:3, 3] = torch.tensor([x, y, z])
    return matrix


def camera_inputs(
    batch: int = 1, frames: int = 1, cameras: int = 6, *, size: tuple[int, int] = (64, 192), seed: int = 0
) -> dict[str, torch.Tensor]:
    """Inputs as the data preprocessor gives them: random images of nuScenes' rig, which moves ahead frame by frame."""
    generator = torch.Generator().manual_seed(seed)
    cam2img, cam2lidar = (matrix[:cameras] for matrix in rig_matrices())
    motion = torch.stack([planar(x=0.0, y=-2.0 * frame) for frame in range(frames)])
    poses = motion[:, None] @ cam2lidar
    shape = (batch, frames, cameras, 4, 4)
    height, width = size[0] // 16, size[1] // 16
    depth = 70 * torch.rand(batch, cameras, height, width, generator=generator)
    return dict(
        imgs=torch.randn(batch, frames, cameras, 3, *size, generator=generator),
        cam2img=cam2img.float().expand(shape).clone(),
        cam2lidar=poses.float().expand(shape).clone(),
        img_aug_matrix=image_matrix(size).float().expand(shape).clone(),
        lidar_aug_matrix=torch.eye(4).expand(batch, 4, 4).clone(),
        frame_exists=torch.ones(batch, frames, dtype=torch.bool),
        gt_depth=torch.where(depth > 35, depth, 0),
    )


def camera_samples(batch: int = 1, objects: int = 8, **meta: Any) -> list[Any]:
    """Data samples with random boxes, half a second apart in one scene; the car moves 2 m each time."""
    from centerpoint_models import random_instances
    from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes

    samples = []
    for index in range(batch):
        info = dict(
            box_type_3d=LiDARInstance3DBoxes,
            scene_token='a',
            timestamp=1000.0 + 0.5 * index,
            ego2global=planar(y=2.0 * index).numpy(),
            lidar2ego=np.eye(4),
        )
        sample = Det3DDataSample(metainfo={**info, **meta})
        sample.gt_instances_3d = random_instances(objects, seed=index)
        samples.append(sample)
    return samples


def rig_cameras(
    image: torch.Tensor | None = None, world: torch.Tensor | None = None, *, pose: torch.Tensor | None = None
) -> Any:
    """One sample of nuScenes' rig, float64: augmented by ``image`` and ``world``, the rig moved by ``pose``."""
    from mono_distill.models.view_transformers.frustum import Cameras

    eye = torch.eye(4, dtype=torch.float64)
    image, world, pose = (eye if matrix is None else matrix for matrix in (image, world, pose))
    cam2img, cam2lidar = rig_matrices()
    return Cameras(cam2img[None], (pose @ cam2lidar)[None], image.expand_as(cam2img)[None], world[None])


def project(points: torch.Tensor, cameras: Any, camera: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels (P, 2) of the augmented image and depths (P,) of points (P, 3) of the LiDAR frame before augmentation."""
    homogeneous = torch.cat([points, torch.ones_like(points[:, :1])], 1)
    seen = homogeneous @ torch.linalg.inv(cameras.cam2lidar[0, camera]).T
    image = seen @ cameras.cam2img[0, camera].T
    plane = torch.cat([image[:, :2] / image[:, 2:3], torch.ones_like(image[:, :1])], 1)
    matrix = cameras.img_aug_matrix[0, camera]
    return plane[:, :2] @ matrix[:2, :2].T + matrix[:2, 3], seen[:, 2]
