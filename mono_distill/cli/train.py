"""``mono-distill train``: the same flags as mmdet3d's ``tools/train.py``, and ``--dry-run``, ``--seed``."""

from __future__ import annotations

import argparse

from mono_distill.cli.options import add_cfg_options, add_launcher


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument('--work-dir', help='where to save checkpoints and logs (default: work_dirs/<config name>)')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (CUDA)')
    parser.add_argument('--sync_bn', choices=['none', 'torch', 'mmcv'], default='none', help='convert BN to SyncBN')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from this checkpoint, or from the last one in the work directory if none is named',
    )
    parser.add_argument('--seed', type=int, help='seed of the run')
    parser.add_argument('--deterministic', action='store_true', help='deterministic algorithms (slower on a GPU)')
    parser.add_argument('--dry-run', action='store_true', help='read and check the config, build the model, then stop')
    add_cfg_options(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    """Train."""
    from mono_distill.apis import launch

    config = launch.load_config(args.config, args.cfg_options, args.work_dir)
    launch.set_launcher(config, args.launcher, args.local_rank)
    launch.set_seed(config, args.seed, args.deterministic)
    if args.amp:
        launch.set_amp(config)
    if args.sync_bn != 'none':
        config.sync_bn = args.sync_bn
    if args.auto_scale_lr:
        config.setdefault('auto_scale_lr', {})['enable'] = True
    if args.resume is not None:
        launch.set_resume(config, args.resume)
    if args.dry_run:
        return dry_run(config, args.config)
    launch.build_runner(config).train()
    return 0


def dry_run(config: object, name: str) -> int:
    """Build the model of a config and say so; no data, no checkpoint is touched."""
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope(config.get('default_scope', 'mmdet3d'))  # type: ignore[attr-defined]
    model = MODELS.build(config.model)  # type: ignore[attr-defined]
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f'{name}: config and model are fine; {type(model).__name__} with {trained:,} trained parameters')
    return 0
