"""``mono-distill test``: evaluate a checkpoint; a distillation config is tested as its plain student."""

from __future__ import annotations

import argparse

from mono_distill.cli.options import add_cfg_options, add_launcher
from mono_distill.cli.train import dry_run


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or package::path; of the student or of the distillation')
    parser.add_argument('checkpoint', help='checkpoint file, of the student or of the distillation')
    parser.add_argument('--work-dir', help='where to write logs and results')
    parser.add_argument('--format-only', metavar='DIR', help='write KITTI submission files to DIR, do not evaluate')
    parser.add_argument('--show-dir', metavar='DIR', help='write pictures of the predictions to DIR (needs no display)')
    parser.add_argument('--dry-run', action='store_true', help='read and check the config, build the model, then stop')
    add_cfg_options(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    """Test."""
    from mono_distill.apis import launch

    config = launch.plain_student(launch.load_config(args.config, args.cfg_options, args.work_dir))
    launch.set_launcher(config, args.launcher, args.local_rank)
    if args.dry_run:
        return dry_run(config, args.config)
    config.load_from = args.checkpoint
    launch.set_test_options(config, args.format_only, args.show_dir)
    launch.build_runner(config).test()
    return 0
