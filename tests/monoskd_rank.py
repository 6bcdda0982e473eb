"""MonoSKD on prepared frames as one rank of several computes it (importable by name from a spawned process)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DATASETS, MODELS, init_default_scope
from tiny_kitti import random_teachers, short

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
GROUP_NORM = dict(type='GN', num_groups=4)


def build(root: Path) -> tuple[Any, list[Any]]:
    """Build the tiny MonoSKD and load four frames.

    Batch statistics, of normalisation and of the released correlation, differ between one process and two by design;
    here both are taken per image.
    """
    init_default_scope('mmdet3d')
    config = random_teachers(short(Config.fromfile(CONFIGS / 'monoskd_tiny_kitti.py'), root))
    student = config.model.student
    student.backbone.norm_cfg = student.neck.norm_cfg = GROUP_NORM
    config.model.teachers.depth = dict(
        detector=dict(student, data_preprocessor=dict(student.data_preprocessor, modality='depth')), allow_random=True
    )
    config.model.losses.spearman.statistics = 'image'
    torch.manual_seed(5)
    model = MODELS.build(config.model)
    dataset = DATASETS.build(config.train_dataloader.dataset.dataset)
    return model.train(), [dataset[index] for index in range(4)]


def backward(model: Any, preprocessor: Any, frames: list[Any]) -> None:
    losses = model(**preprocessor(pseudo_collate(frames), True), mode='loss')
    sum(value for key, value in losses.items() if 'loss' in key).backward()


def work(rank: int, root: Path, results: Path) -> None:
    model, frames = build(root)
    wrapped = MMDistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=False)
    backward(wrapped, model.data_preprocessor, frames[2 * rank : 2 * rank + 2])
    if rank == 0:
        torch.save({name: p.grad for name, p in model.named_parameters() if p.requires_grad}, results)
