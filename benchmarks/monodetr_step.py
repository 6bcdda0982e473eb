"""Time and memory of a training step of MonoDETR against the straightforward form of the official code.

    python benchmarks/monodetr_step.py [--objects 8] [--seconds 10] [--out FOLDER]

The model of configs/students/monodetr_kitti.py with random weights, 550 queries and dropout, and its tiny form, on
noise with made-up objects. The straightforward form (benchmarks/reference_monodetr.py) shares its weights. Both run on
one thread of the CPU and take turns: median processor time of forward pass with losses, and of the backward pass, and
the peak of the memory that PyTorch allocated. Before that losses and gradients of both are compared without dropout in
double precision on a small image; in single precision the slopes of bilinear samples jump where rounding puts them in
another cell.
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
from reference_monodetr import plain_form
from training_step import Setting, Subject, main

SETTINGS = [
    Setting('published', 'monodetr_kitti.py', 1, (384, 1280)),
    Setting('tiny', 'monodetr_tiny_kitti.py', 8, (96, 320)),
]


def scatter_samples(detector: torch.nn.Module) -> None:
    """Move sampling points off the centres of cells, where they start and where the slope is not defined."""
    for name, parameter in detector.named_parameters():
        if 'sampling_offsets.weight' in name:
            torch.nn.init.normal_(parameter, std=0.05)


def made_up_samples(batch: int, objects: int, size: tuple[int, int]) -> list[Det3DDataSample]:
    """Samples with objects whose centres are the middles of their 2D boxes."""
    samples = []
    for _ in range(batch):
        centers = (torch.rand(objects, 2) * 0.8 + 0.1) * torch.tensor([size[1], size[0]])
        half = torch.rand(objects, 2) * 0.08 * size[1]
        sample = Det3DDataSample()
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(torch.rand(objects, 7) * 4 + 1),
            labels_3d=torch.randint(0, 3, (objects,)),
            bboxes=torch.cat([centers - half, centers + half], dim=1),
            centers_2d=centers,
            depths=torch.rand(objects) * 50 + 5,
        )
        camera = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]])
        sample.set_metainfo(dict(cam2img=camera, ori_cam2img=camera, ori_shape=size, img_shape=size))
        samples.append(sample)
    return samples


if __name__ == '__main__':
    main(__doc__, SETTINGS, Subject('MonoDETR', 'monodetr_step', plain_form, made_up_samples, scatter_samples))
