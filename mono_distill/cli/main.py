"""Entry point of ``mono-distill``; sub-commands are imported only when they are called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from mono_distill.utils.errors import MonoDistillError
from mono_distill.version import __version__

# name -> one line of help. Each is mono_distill/cli/<name>.py with configure(parser) and run(args) -> exit status.
COMMANDS = {
    'doctor': 'say what works on this machine, what does not, and the command that mends it',
    'synth': 'make a data set of the embedded driving world, in the format of KITTI or nuScenes',
    'demo': 'make driving data, train, distil and report on it, in minutes on a CPU',
    'prepare': 'turn a data set folder into infos and LiDAR depth maps',
    'browse': 'draw augmented training samples: boxes, depth map, LiDAR from above',
    'train': 'train a config (what mim train runs)',
    'stages': 'train a distillation with its teachers and student, what is not done yet',
    'test': 'evaluate a checkpoint (what mim test runs)',
    'convert': 'turn a checkpoint of an official repository into one of this package',
    'export': 'write the trained student alone, with its config',
    'infer': 'detect objects in pictures, given the intrinsics of the camera',
    'bench': 'run a benchmark: what distillation adds, on the embedded world',
    'taps': 'list the names a distillation config can tap',
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command and return its exit status; 2 means wrong usage or an error that names its cure."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog='mono-distill', description='Cross-modal distillation for MMDetection3D.')
    parser.add_argument('--version', action='version', version=__version__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, text in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        # Importing every command to build its options would cost seconds; only the one that was named is imported.
        if arguments and arguments[0] == name:
            importlib.import_module(f'mono_distill.cli.{name}').configure(sub)
    args = parser.parse_args(arguments)
    try:
        return int(importlib.import_module(f'mono_distill.cli.{args.command}').run(args))
    except MonoDistillError as error:
        print(f'mono-distill {args.command}: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
