"""One rank of a two-rank training step of the MonoDLE head: ``python monodle_rank.py FOLDER RANK``."""

from __future__ import annotations

import sys

import torch

import mono_distill  # noqa: F401  (before mmdet3d)

from mmdet3d.structures import CameraInstance3DBoxes  # isort: skip
from mmengine.structures import InstanceData  # isort: skip

COUNTS = (5, 2, 0, 1)


def batch():
    """Four images: features, annotations and meta information."""
    generator = torch.Generator().manual_seed(4)
    feats = torch.randn(4, 8, 24, 40, generator=generator)
    annotations = []
    for count in COUNTS:
        centers = torch.rand(count, 2, generator=generator) * torch.tensor([160.0, 96])
        annotations.append(
            InstanceData(
                bboxes_3d=CameraInstance3DBoxes(torch.rand(count, 7, generator=generator) * 4 + 1),
                labels_3d=torch.randint(0, 3, (count,), generator=generator),
                bboxes=torch.cat([centers - 9, centers + 7], dim=1),
                centers_2d=centers,
                alpha=torch.rand(count, generator=generator),
                depths=torch.rand(count, generator=generator) * 50 + 5,
            )
        )
    return feats, annotations, [dict(random_crop=i == 1, crop_scale=1.0) for i in range(4)]


def gradients(feats, annotations, metas):
    """Gradients of the summed losses with respect to the parameters of a head made from a fixed seed."""
    from mono_distill.models import MonoDLEHead

    torch.manual_seed(0)
    head = MonoDLEHead(in_channels=8, feat_channels=8)
    losses = head.loss_by_feat(head((feats,)), annotations, metas)
    sum(losses.values()).backward()
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
