"""Leaf configs cut down to what two CPU cores train in seconds, whichever data set they are for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from tiny_kitti import random_teachers, short

from mono_distill.apis.launch import load_config

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
# No weights from the network, and the LiDAR teacher of KITTI that needs no compiled ops.
ENVIRONMENT = dict(
    DLA34_WEIGHTS='none',
    RESNET50_WEIGHTS='none',
    LIDAR_TEACHER='pointpillars_bev_kitti',
    NUSCENES_VERSION='v1.0-mini',
)
# What is left of 256x704: maps of every stride up to 32 are whole.
PICTURES = (64, 192)


def is_nuscenes(path: Path) -> bool:
    """Whether a config is for nuScenes."""
    return path.stem.endswith('_nus')


def small(path: Path, root: Path) -> Config:
    """Cut a config down to one epoch of two steps on a prepared root; teachers may be random."""
    config = load_config(str(path))
    config = short_nuscenes(config, root) if is_nuscenes(path) else short(config, root)
    if 'teachers' in config.model:
        for teacher in config.model.teachers.values():
            teacher.config = str(CONFIGS / teacher.config.split('::')[1])
        random_teachers(config)
    return config


def short_nuscenes(config: Config, root: Path) -> Config:
    """Cut a nuScenes config down: small pictures, single samples, two steps, no half precision, no other's files."""
    for options in _dicts(config._cfg_dict):
        if str(options.get('type', '')).endswith('MultiViewImageAug'):
            options.size = PICTURES
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        loader.dataset.get('dataset', loader.dataset).data_root = str(root)
    config.train_dataloader.num_batch_per_epoch = 2
    for evaluator in (config.val_evaluator, config.test_evaluator):
        evaluator.data_root = str(root)
    # mmengine's needs a GPU.
    if config.optim_wrapper.type == 'AmpOptimWrapper':
        config.optim_wrapper.type = 'OptimWrapper'
        del config.optim_wrapper['loss_scale']
    config.train_cfg.update(max_epochs=1, val_begin=1, val_interval=1)
    config.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    config.load_from = None
    for hook in config.custom_hooks:
        if hook.type.endswith('TeacherCheckHook'):
            hook.on_failure = 'warn'
    return config


def gradients_of_one_step(config: Config, samples: int) -> tuple[dict[str, torch.Tensor], set[str]]:
    """Take the losses of one batch.

    Args:
        config: A cut down config.
        samples: How many, so that no batch norm sees a single value.

    Returns:
        The losses by name, and the names of the parameters that learn from their sum.
    """
    init_default_scope('mmdet3d')
    dataset = DATASETS.build(config.train_dataloader.dataset)
    model = MODELS.build(config.model)
    if hasattr(model, 'bank'):
        model.bank.load()
        # In the middle of the training, so that every term weighs something.
        model.set_progress(config.train_cfg.max_epochs / 2, 1)
    model.train()
    # From both ends: a second part may hold frames without labels.
    batch = pseudo_collate([dataset[-index % len(dataset)] for index in range(samples)])
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    total, losses = model.parse_losses(losses)
    total.backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.count_nonzero() > 0}
    return losses, learning


def _dicts(value: Any) -> Iterator[ConfigDict]:
    """Yield every dictionary of a config."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _dicts(part)
