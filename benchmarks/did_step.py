"""Time and memory of a training step of DID-M3D against the straightforward form of the official code.

    python benchmarks/did_step.py [--objects 8] [--seconds 10] [--out FOLDER]

The model of configs/students/didm3d_kitti.py with random weights, and its tiny form, on noise with made-up objects; the
depth in every bin of their boxes is given. The straightforward form (benchmarks/reference_did.py) shares its weights
and the trunk. Both run on one thread of the CPU and take turns: median processor time of targets, forward pass and
losses, and of the backward pass, and the peak of the memory that PyTorch allocated. Before that losses and gradients of
both are compared in double precision on a small image.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import mono_distill  # noqa: F401  (before mmdet3d)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.structures import InstanceData
from reference_did import plain_form
from training_step import Setting, Subject, main

SETTINGS = [
    Setting('published', 'didm3d_kitti.py', 1, (384, 1280)),
    Setting('tiny', 'didm3d_tiny_kitti.py', 8, (96, 320)),
]
CAMERA = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]])


def made_up_samples(batch: int, objects: int, size: tuple[int, int]) -> list[Det3DDataSample]:
    """Samples with objects whose centres are the middles of their 2D boxes and whose surface is 0 to 4 m in front."""
    samples = []
    for _ in range(batch):
        centers = (torch.rand(objects, 2) * 0.8 + 0.1) * torch.tensor([size[1], size[0]])
        half = torch.rand(objects, 2) * 0.08 * size[1]
        depths = torch.rand(objects) * 50 + 5
        sample = Det3DDataSample(metainfo=dict(ori_cam2img=CAMERA, trans_mat=np.eye(3), ori_shape=size, img_shape=size))
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(torch.rand(objects, 7) * 4 + 1),
            labels_3d=torch.randint(0, 3, (objects,)),
            bboxes=torch.cat([centers - half, centers + half], dim=1),
            centers_2d=centers,
            alpha=torch.zeros(objects),
            depths=depths,
            visual_depth=depths[:, None, None] - torch.rand(objects, 7, 7) * 4,
        )
        samples.append(sample)
    return samples


if __name__ == '__main__':
    note = (
        'Nearly nine tenths of a step are convolutions of the trunk, which both forms share; the last rows show the '
        'step as `mono_distill.BFloat16OptimWrapper` runs it, whose numbers differ (the official code trains in single '
        'precision). '
    )
    main(__doc__, SETTINGS, Subject('DID-M3D', 'did_step', plain_form, made_up_samples, note=note, bfloat16=True))
