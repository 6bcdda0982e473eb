"""``mono-distill stages``: a distillation with all that it needs, in one command that skips what is already done."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.config import DictAction

from mono_distill.cli.long_runs import INTERRUPTED, termination_as_interrupt
from mono_distill.cli.options import add_cfg_options, add_launcher

if TYPE_CHECKING:
    from mmengine.config import Config

TEXT = """\
Reads the config of a distillation, trains every teacher and assistant whose checkpoint is a work directory that is not
finished, then the student that load_from names, then the config itself. Finished trainings are recognised by their last
checkpoint, interrupted ones go on from it. The same command again does what is left.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = TEXT
    parser.add_argument('config', help='config file, or package::path')
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs'),
        help='holds a work directory per training, in the place of work_dirs in the config (default: %(default)s)',
    )
    parser.add_argument(
        '--control',
        action='store_true',
        help='in the end train the student on without teachers, with the data and the schedule of the distillation',
    )
    parser.add_argument(
        '--allow-weak-teachers',
        action='store_true',
        help='go on with a teacher or an assistant that is no better than the student; the check then only warns',
    )
    parser.add_argument('--seed', type=int, help='seed of every training')
    parser.add_argument('--dry-run', action='store_true', help='say what would be trained, then stop')
    parser.add_argument(
        '--all-options', nargs='+', action=DictAction, help='as --cfg-options, for every training of the command'
    )
    add_cfg_options(parser)
    add_launcher(parser)


def run(args: argparse.Namespace) -> int:
    """Train what is left; return 0, or 130 if it was interrupted."""
    from mono_distill.apis import launch
    from mono_distill.apis.stages import plan_stages, run_stages

    stages = plan_stages(
        args.config, args.work_dir, options=args.cfg_options, all_options=args.all_options, control=args.control
    )
    if args.dry_run:
        for stage in stages:
            print(f'{stage.state():8}  {stage.role}: {stage.path} -> {stage.folder}')
        return 0

    def prepare(config: Config) -> None:
        launch.set_launcher(config, args.launcher, args.local_rank)
        launch.set_seed(config, args.seed, False)
        for hook in config.get('custom_hooks', []) if args.allow_weak_teachers else []:
            if str(hook['type']).endswith('TeacherCheckHook'):
                hook['on_failure'] = 'warn'

    try:
        with termination_as_interrupt():
            run_stages(stages, prepare=prepare, say=_say)
    except KeyboardInterrupt:
        print('\ninterrupted; what is done is kept, the training at work goes on from its last checkpoint.')
        print(f'Continue with the same command: {invocation(args)}')
        return INTERRUPTED
    return 0


def _say(text: str) -> None:
    """Print a line, once where several processes train together."""
    if os.environ.get('RANK', '0') == '0':
        print(text, flush=True)


def invocation(args: argparse.Namespace) -> str:
    """Return the command line that continues the run."""
    words = ['mono-distill', 'stages', args.config, '--work-dir', str(args.work_dir)]
    words += ['--control'] if args.control else []
    words += ['--allow-weak-teachers'] if args.allow_weak_teachers else []
    words += [] if args.seed is None else ['--seed', str(args.seed)]
    for flag, options in (('--all-options', args.all_options), ('--cfg-options', args.cfg_options)):
        if options:
            words += [flag, *(f'{key}={value}' for key, value in options.items())]
    return shlex.join(words)
