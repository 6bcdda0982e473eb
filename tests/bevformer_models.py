"""A rig of cameras with nuScenes-like matrices, a tiny BEVFormer and annotated samples for tests."""

from __future__ import annotations

import math

import torch
from mmdet3d.structures import Det3DDataSample, LiDARInstance3DBoxes
from mmengine.structures import InstanceData

from mono_distill.registry import MODELS

RANGE = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
IMAGE = (64, 96)
# Yaws of the cameras' optical axes, counter-clockwise from the LiDAR's y axis (forward), in degrees.
YAWS = (0.0, -55.0, 55.0, 180.0, 110.0)


def turn(angle: float) -> torch.Tensor:
    """4x4 rotation about z."""
    matrix = torch.eye(4, dtype=torch.float64)
    cos, sin = math.cos(angle), math.sin(angle)
    matrix[:2, :2] = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    return matrix


def shift(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> torch.Tensor:
    """4x4 translation."""
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, 3] = torch.tensor([x, y, z], dtype=torch.float64)
    return matrix


def camera_pose(yaw: float) -> torch.Tensor:
    """Camera (x right, y down, z ahead) to LiDAR (x right, y ahead, z up), half a metre from the origin."""
    upright = torch.eye(4, dtype=torch.float64)
    upright[:3, :3] = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    return turn(yaw) @ shift(0.1, 0.5, -0.3) @ upright


def rig(batch: int = 2, frames: int = 1, *, step: float = 2.0) -> dict[str, torch.Tensor]:
    """Matrices of five cameras; the car drives ``step`` metres ahead and turns a little from frame to frame."""
    intrinsics = torch.eye(4, dtype=torch.float64)
    intrinsics[:2, :3] = torch.tensor([[75.0, 0, 47.3], [0, 76.0, 30.8]], dtype=torch.float64)
    poses = torch.stack([camera_pose(math.radians(yaw)) for yaw in YAWS])
    motion = [torch.linalg.matrix_power(turn(0.05) @ shift(y=-step), frame) for frame in range(frames)]
    matrices = dict(
        cam2img=intrinsics.expand(batch, frames, len(YAWS), 4, 4),
        cam2lidar=torch.stack([pose @ poses for pose in motion]).expand(batch, -1, -1, -1, -1),
        img_aug_matrix=torch.eye(4).expand(batch, frames, len(YAWS), 4, 4),
        lidar_aug_matrix=torch.eye(4).expand(batch, 4, 4),
        frame_exists=torch.ones(batch, frames, dtype=torch.bool),
    )
    return {
        name: value.clone() if value.dtype == torch.bool else value.float().clone(memory_format=torch.contiguous_format)
        for name, value in matrices.items()
    }


def frame_matrices(inputs: dict[str, torch.Tensor], frame: int = 0) -> dict[str, torch.Tensor]:
    """What the encoder takes of one frame."""
    names = ('cam2img', 'cam2lidar', 'img_aug_matrix')
    return {**{name: inputs[name][:, frame] for name in names}, 'lidar_aug_matrix': inputs['lidar_aug_matrix']}


def project(point, *, cam2img, cam2lidar, img_aug, lidar_aug) -> tuple[float, float, float]:
    """Pixel u, v of the augmented image and depth of a point of the augmented LiDAR frame, step by step."""
    world = torch.linalg.solve(lidar_aug.double(), torch.tensor([*point, 1.0], dtype=torch.float64))
    camera = torch.linalg.solve(cam2lidar.double(), world)
    image = cam2img.double() @ camera
    pixel = image[:2] / image[2]
    pixel = img_aug[:2, :2].double() @ pixel + img_aug[:2, 3].double()
    return float(pixel[0]), float(pixel[1]), float(camera[2])


def batch_inputs(batch: int = 2, frames: int = 1, **options) -> dict[str, torch.Tensor]:
    return dict(imgs=torch.randn(batch, frames, len(YAWS), 3, *IMAGE), **rig(batch, frames, **options))


def annotated(counts, seed: int = 0) -> list[Det3DDataSample]:
    """Samples with so many objects."""
    generator = torch.Generator().manual_seed(seed)
    samples = []
    for count in counts:
        low = torch.tensor([-40.0, -40, -3, 1, 1, 1, -3, -5, -5])
        high = torch.tensor([40.0, 40, 0, 6, 3, 3, 3, 5, 5])
        boxes = low + torch.rand(count, 9, generator=generator) * (high - low)
        sample = Det3DDataSample(metainfo=dict(token='a key-frame'))
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=LiDARInstance3DBoxes(boxes, box_dim=9),
            labels_3d=torch.randint(0, 10, (count,), generator=generator),
        )
        samples.append(sample)
    return samples


def tiny_config(**options) -> dict:
    config = dict(
        type='mono_distill.BEVFormer',
        img_backbone=dict(
            type='mmdet.ResNet',
            depth=18,
            base_channels=8,
            out_indices=(2, 3),
            norm_cfg=dict(type='BN'),
            norm_eval=False,
        ),
        img_neck=dict(type='mmdet.ChannelMapper', in_channels=[32, 64], kernel_size=1, out_channels=16, num_outs=2),
        encoder=dict(bev_size=(8, 10), num_layers=2, num_cameras=5, num_levels=2, num_heads=2, feedforward_channels=32),
        decoder=dict(num_queries=12, num_layers=3, num_heads=2, feedforward_channels=32),
        pts_bbox_head=dict(type='mono_distill.BEVFormerHead', in_channels=16, num_layers=3),
        embed_dims=16,
    )
    return {**config, **options}


def tiny_detector(**options):
    torch.manual_seed(1)
    detector = MODELS.build(tiny_config(**options))
    detector.init_weights()
    return detector
