"""``mono-distill taps``: what a distillation config can name."""

from __future__ import annotations

import argparse

from mono_distill.cli.options import add_cfg_options


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config of a detector or of a distillation')
    add_cfg_options(parser)
    parser.add_argument('--depth', type=int, default=2, help='how many levels of modules to list (default 2)')


def run(args: argparse.Namespace) -> int:
    """List module paths with their classes, for the student and every teacher."""
    from mmengine.registry import MODELS, init_default_scope

    from mono_distill.apis.launch import load_config

    config = load_config(args.config, args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmdet3d'))
    model = MODELS.build(config.model)
    owners = {'student': getattr(model, 'student', model)}
    if hasattr(model, 'bank'):
        owners.update({name: teacher.model for name, teacher in model.bank.teachers.items()})
    for owner, detector in owners.items():
        for path, module in detector.named_modules():
            if path and path.count('.') < args.depth:
                print(f'{owner}:{path}  ({type(module).__name__})')
        for path in getattr(detector, 'distill_outputs', dict)() if hasattr(detector, 'distill_outputs') else ():
            print(f'{owner}:{path}  (distill_outputs)')
    return 0
