"""A prepared KITTI root of a few made-up frames, and runs of configs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from kitti_files import write_folder, write_split

from mono_distill.apis import launch
from mono_distill.cli.main import main


def write_prepared_kitti(root: Path, frames: int = 2) -> Path:
    """Write frames, split files that put all of them into every split, infos and depth maps."""
    write_folder(root, training=frames)
    for split in ('train', 'val', 'trainval'):
        write_split(root, split, *(f'{number:06d}' for number in range(frames)))
    if main(['prepare', 'kitti', '--root', str(root), '--workers', '1']) != 0:
        raise RuntimeError('the frames of the test could not be prepared')
    return root


def short(config: Any, root: Path) -> Any:
    """Cut a config down to one epoch of single frames, without workers, ImageNet weights or checkpoints of others."""
    detectors = [config.model] if 'backbone' in config.model else [config.model.student]
    for detector in detectors:
        if 'pretrained' in detector.backbone:
            detector.backbone.pretrained = None
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        for dataset in loader.dataset.get('datasets', [loader.dataset.get('dataset', loader.dataset)]):
            dataset.data_root = str(root)
            if not (root / dataset.ann_file).is_file():
                # There is no split without labels; the labels are hidden anyway.
                dataset.ann_file, dataset.data_prefix = 'kitti_infos_val.pkl', {}
        if 'pattern' in loader.get('sampler', {}):
            loader.sampler.update(pattern=(1, 1), length=2)
        if 'times' in loader.dataset:
            loader.dataset.times = 1
    for evaluator in (config.val_evaluator, config.test_evaluator):
        evaluator.ann_file = str(root / Path(evaluator.ann_file).name)
    config.train_cfg.update(max_epochs=1, val_begin=1, val_interval=1)
    config.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    config.load_from = None
    # Untrained models score nothing: the check of the teacher would rightly refuse.
    for hook in config.custom_hooks:
        if hook.type.endswith('TeacherCheckHook'):
            hook.on_failure = 'warn'
    return config


def random_teachers(config: Any) -> Any:
    """Let the teachers of a distillation be random."""
    for teacher in config.model.teachers.values():
        teacher.update(checkpoint=None, allow_random=True)
    return config


def train(config: Any, work_dir: Path) -> dict[str, torch.Tensor]:
    """Train a config and return its weights."""
    config.work_dir = str(work_dir)
    config.experiment_name = f'{work_dir.name}-{id(config)}'
    return {key: value.cpu() for key, value in launch.build_runner(config).train().state_dict().items()}
