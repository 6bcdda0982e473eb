"""One rank of a two-rank training step of the DID-M3D head: ``python did_rank.py FOLDER RANK``."""

from __future__ import annotations

import sys

import numpy as np
import torch

import mono_distill  # noqa: F401  (before mmdet3d)

from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample  # isort: skip
from mmengine.structures import InstanceData  # isort: skip

COUNTS = (5, 2, 0, 1)
CAM2IMG = np.array([[180.4, 0, 80.0, 11.2], [0, 180.4, 48.0, 0.05], [0, 0, 1, 0.0027]])


def batch():
    """Four images: features and annotated samples."""
    generator = torch.Generator().manual_seed(4)
    feats = torch.randn(4, 8, 24, 40, generator=generator)
    samples = []
    for count in COUNTS:
        centers = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 96])
        depths = torch.rand(count, generator=generator) * 50 + 5
        sample = Det3DDataSample(
            metainfo=dict(ori_cam2img=CAM2IMG, trans_mat=np.eye(3), ori_shape=(96, 160), img_shape=(96, 160))
        )
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(torch.rand(count, 7, generator=generator) * 4 + 1),
            labels_3d=torch.randint(0, 3, (count,), generator=generator),
            bboxes=torch.cat([centers - 9, centers + 7], dim=1),
            centers_2d=centers,
            alpha=torch.zeros(count),
            depths=depths,
            visual_depth=depths[:, None, None] + torch.randn(count, 7, 7, generator=generator) * 2,
        )
        samples.append(sample)
    return feats, samples


def gradients(feats, samples):
    """Gradients of the summed losses with respect to the parameters of a head made from a fixed seed.

    In evaluation mode, because the norms of the second stage take their statistics from the objects of one process.
    """
    from mono_distill.models import DIDHead

    torch.manual_seed(0)
    head = DIDHead(in_channels=8, feat_channels=8).eval()
    sum(head.loss((feats,), samples).values()).backward()
    return {name: parameter.grad for name, parameter in head.named_parameters()}


def main(folder: str, rank: int) -> None:
    """Compute the gradients of this rank's half of the batch in a process group of two."""
    from torch import distributed

    distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    half = slice(2 * rank, 2 * rank + 2)
    torch.save(gradients(*(part[half] for part in batch())), f'{folder}/gradients{rank}.pt')
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == '__main__':
    main(sys.argv[1], int(sys.argv[2]))
