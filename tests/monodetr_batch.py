"""Outputs and targets of MonoDETR for tests: random ones, and those of the official code on one batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import mono_distill  # noqa: F401  (before mmdet3d)

LAYERS, CLASSES = 3, 3
CHANNELS = dict(bboxes=6, dims=3, depth=2, heading=24)
# Official names of the output of one decoder layer.
OFFICIAL = dict(cls_scores='logits', bboxes='boxes', dims='3d_dim', depth='depth', heading='angle')


def random_outputs(batch: int, queries: int, size=(6, 20), seed=0, dtype=torch.float32) -> dict[str, Tensor]:
    """Boxes of a few tenths of the image, as after the sigmoid; everything else about normal."""
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    outs = {name: randn(LAYERS, batch, queries, channels) for name, channels in CHANNELS.items()}
    outs['bboxes'] = torch.cat([outs['bboxes'][..., :2].sigmoid(), (outs['bboxes'][..., 2:] - 2).sigmoid()], -1)
    outs['dims'] = outs['dims'].abs() + 1
    outs['depth'] = torch.stack([outs['depth'][..., 0] * 10 + 25, outs['depth'][..., 1] * 0.3], -1)
    return dict(outs, cls_scores=randn(LAYERS, batch, queries, CLASSES), depth_logits=randn(batch, 81, *size))


def random_targets(counts, seed=0, dtype=torch.float32) -> dict[str, Tensor]:
    """Targets of images with the given numbers of objects."""
    generator = torch.Generator().manual_seed(seed)
    batch, slots = len(counts), max(1, *counts)

    def rand(*shape):
        return torch.rand(batch, slots, *shape, generator=generator, dtype=dtype)

    mask = torch.arange(slots) < torch.tensor(counts).unsqueeze(1)
    values = dict(
        labels=torch.randint(0, CLASSES, (batch, slots), generator=generator),
        boxes=torch.cat([rand(2) * 0.9 + 0.05, rand(4) * 0.2], -1),
        size_3d=rand(3) + 1,
        depth=rand() * 50 + 5,
        heading_bin=torch.randint(0, 12, (batch, slots), generator=generator),
        heading_res=(rand() - 0.5) * np.pi / 6,
    )
    values = {name: value * mask.view(*mask.shape, *[1] * (value.dim() - 2)) for name, value in values.items()}
    return dict(values, mask_2d=mask, mask_3d=mask)


def golden_targets(file: dict[str, np.ndarray], slots: int = 6) -> dict[str, Tensor]:
    """The targets of the official batch, three and five objects, padded."""
    names = dict(
        labels='labels', boxes='boxes_3d', size_3d='size_3d', depth='depth', heading_bin='heading_bin',
        heading_res='heading_res',
    )  # fmt: skip
    targets = {}
    for name, official in names.items():
        rows = [file[f'tgt{image}_{official}'] for image in range(2)]
        if name in ('depth', 'heading_bin', 'heading_res'):
            rows = [row[:, 0] for row in rows]
        padded = [np.concatenate([row, np.zeros((slots - len(row), *row.shape[1:]), row.dtype)]) for row in rows]
        value = torch.from_numpy(np.stack(padded))
        targets[name] = value.float() if value.is_floating_point() else value
    mask = torch.arange(slots) < torch.tensor([[3], [5]])
    return dict(targets, mask_2d=mask, mask_3d=mask)


def golden_outputs(file: dict[str, np.ndarray], stage: str) -> dict[str, Tensor]:
    """The last layer of the official network; zeros for what the file does not hold."""
    outs = {
        name: torch.from_numpy(file[f'{stage}_pred_{official}']).unsqueeze(0)
        for name, official in OFFICIAL.items()
        if f'{stage}_pred_{official}' in file
    }
    queries = outs['cls_scores'].shape[2]
    return dict(dict(heading=torch.zeros(1, 2, queries, 24), depth_logits=torch.zeros(2, 81, 24, 80)), **outs)


def losses_and_gradients(outs: dict[str, Tensor], targets: dict[str, Tensor], num_queries: int):
    """Losses of a batch and the gradients of their sum for every output."""
    from mono_distill.models.task_modules import GroupHungarianAssigner, MonoDETRCriterion

    leaves = {name: value.detach().clone().requires_grad_() for name, value in outs.items()}
    assignment = GroupHungarianAssigner(num_queries)(leaves, targets)
    losses = MonoDETRCriterion()(leaves, targets, assignment)
    sum(losses.values()).backward()
    return losses, {name: leaf.grad for name, leaf in leaves.items()}


RANK_COUNTS = (4, 2, 0, 1)


def rank_gradients(images: slice) -> dict[str, Tensor]:
    """Gradients of some images of a fixed batch of four."""
    outs, targets = random_outputs(4, 15), random_targets(RANK_COUNTS)
    part = {name: value[images] if name == 'depth_logits' else value[:, images] for name, value in outs.items()}
    return losses_and_gradients(part, {name: value[images] for name, value in targets.items()}, 5)[1]


def save_rank_gradients(rank: int, folder: Path) -> None:
    """Work of one of two processes, which has half of the batch."""
    torch.save(rank_gradients(slice(2 * rank, 2 * rank + 2)), folder / f'gradients{rank}.pt')
