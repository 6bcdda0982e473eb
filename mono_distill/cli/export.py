"""``mono-distill export``: the trained student alone, with its config."""

from __future__ import annotations

import argparse
from pathlib import Path

from mono_distill.cli.options import add_cfg_options
from mono_distill.utils.errors import ConfigError

TEXT = """\
Writes the student of a distillation (or a plain detector) without adapters, optimizer and log histories, and beside it
the config that builds it: mmdet3d's init_model and `mono-distill test` load the two as they are.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = TEXT
    parser.add_argument('config', help='config file, or package::path; of the distillation or of the student')
    parser.add_argument('checkpoint', help='checkpoint that was trained with it')
    parser.add_argument('--out', help='file to write (default: CHECKPOINT_student.pth beside CHECKPOINT)')
    form = parser.add_mutually_exclusive_group()
    form.add_argument('--safetensors', action='store_true', help='write safetensors, with the config in its metadata')
    form.add_argument('--onnx', action='store_true', help='write an ONNX graph that takes images and intrinsics')
    parser.add_argument(
        '--ema',
        action=argparse.BooleanOptionalAction,
        help='averaged weights, or --no-ema: those of the last step (default: averaged ones if there are any)',
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    """Export, and say what was written."""
    if args.onnx:
        return _onnx(args)
    from mono_distill.apis.export import export_student

    done = export_student(
        args.config,
        args.checkpoint,
        out=args.out,
        safetensors=args.safetensors,
        ema=args.ema,
        cfg_options=args.cfg_options,
    )
    left_out = f', {done.dropped} of the distillation left out' if done.dropped else ''
    print(f'{done.tensors} tensors ({done.weights} weights){left_out}: {done.out}\nits config: {done.config_file}')
    return 0


def _onnx(args: argparse.Namespace) -> int:
    from mono_distill.apis.onnx_export import export_onnx

    if args.ema is not None:
        raise ConfigError('--onnx takes no --ema or --no-ema: export the weights of your choice first, then that file')
    out = Path(args.out) if args.out else Path(args.checkpoint).with_suffix('.onnx')
    print(export_onnx(args.config, args.checkpoint, out, cfg_options=args.cfg_options))
    return 0
