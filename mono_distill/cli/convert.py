"""``mono-distill convert``: a checkpoint of an official repository becomes one of this package."""

from __future__ import annotations

import argparse

from mono_distill.cli.options import add_cfg_options

TEXT = """\
Reads a checkpoint as an official repository released it, takes the student or the teacher out of it, and writes a
checkpoint that the matching config of this package loads whole: every key must have its place, or nothing is written.
Files are read without running what is in them.
"""
SOURCES = ('monodle', 'didm3d', 'monodetr', 'monodistill', 'monoskd', 'monostl')


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = TEXT
    parser.add_argument('file', help='official checkpoint')
    parser.add_argument('--from', dest='source', required=True, choices=SOURCES, help='the repository it comes from')
    parser.add_argument('--part', required=True, choices=['student', 'teacher'], help='which of its networks')
    parser.add_argument('--out', help='.pth or .safetensors file (default: FILE_PART.pth beside FILE)')
    parser.add_argument('--report', choices=['text', 'json'], help='write what became of every key beside the output')
    parser.add_argument('--config', help='config of the detector (default: the published setting)')
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> int:
    """Convert, and say what was done."""
    from mono_distill.apis.convert import convert_checkpoint

    done = convert_checkpoint(
        args.file,
        source=args.source,
        part=args.part,
        out=args.out,
        config=args.config,
        cfg_options=args.cfg_options,
        report=args.report,
    )
    header = done.report.header
    print(f'{done.report.summary()}\n{args.part}: {done.out}')
    added = f', with {header["options"]}' if header['options'] else ''
    print(f'its config: {done.config_file} ({header["config"]}{added})')
    if done.report_file is not None:
        print(f'report: {done.report_file}')
    return 0
