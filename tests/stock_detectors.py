"""Configs of mmdet3d's own camera detectors, cut down to two steps on a few small frames without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from mono_distill.apis.launch import load_config

PROJECT = Path(__file__).resolve().parent.parent / 'projects' / 'distill_your_own'
SMALL = (320, 96)


def shortened(path: Path, root: Path, folder: Path) -> Config:
    """Load a config, with its teachers, for two steps on the frames of ``root``.

    Images become small, ResNet-101 becomes ResNet-18, DCN goes (the lite tier has none), ImageNet weights and other
    checkpoints are left out.

    Args:
        path: The config.
        root: A prepared KITTI root.
        folder: Where the teachers' configs are written.
    """
    config = load_config(str(path))
    for teacher in config.model.get('teachers', {}).values():
        shortened_teacher = load_config(teacher.config)
        lighten(shortened_teacher.model)
        teacher.config = str(folder / Path(teacher.config).name)
        shortened_teacher.dump(teacher.config)
        teacher.update(checkpoint=None, allow_random=True)
    lighten(config.model.get('student', config.model))
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(batch_size=1, num_workers=0, persistent_workers=False)
        while 'data_root' not in loader.dataset:
            loader.dataset = loader.dataset.dataset
        loader.dataset.data_root = str(root)
        shrink(loader.dataset.pipeline)
    for evaluator in (config.val_evaluator, config.test_evaluator):
        evaluator.ann_file = str(root / 'kitti_infos_val.pkl')
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
    config.default_hooks.pop('visualization', None)
    config.default_hooks.logger.interval = 1
    config.default_hooks.checkpoint.interval = 1
    config.load_from = None
    config.custom_hooks = [
        hook for hook in config.get('custom_hooks', []) if not hook['type'].endswith('TeacherCheckHook')
    ]
    return config


def lighten(model: Any) -> None:
    """Take deformable convolution, downloads and most layers out of a detector's config."""
    model.backbone.pop('init_cfg', None)
    if model.backbone.get('depth') == 101:
        model.backbone.depth = 18
        model.neck.in_channels = [64, 128, 256, 512]
    for key in ('dcn', 'stage_with_dcn'):
        model.backbone.pop(key, None)
    if model.neck.type == 'DLANeck':
        model.neck.use_dcn = False
    model.bbox_head.dcn_on_last_conv = False


def shrink(pipeline: Any) -> None:
    """Let every resizing transform of a pipeline, nested ones included, make small images."""
    for transform in pipeline:
        shrink(transform.get('transforms', []))
        for key in ('scale', 'img_scale'):
            if key in transform:
                transform[key] = SMALL
