"""``mono-distill bench``: the benchmark on the embedded world, and paired studies."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_distill.cli.long_runs import INTERRUPTED, default_workers, termination_as_interrupt
from mono_distill.utils.errors import ConfigError
from mono_distill.utils.folder_lock import locked_folder

if TYPE_CHECKING:
    from mono_distill.apis.synth_bench.plan import Run

SYNTH_TEXT = """\
Makes the worlds, trains teachers, students and every arm of the plan with paired seeds, evaluates each once on the test
split, and writes the tables. Finished runs are kept: stop it with Ctrl-C and run the same command again. A part of the
plan is chosen with --settings and --arms; what those need is trained too.
"""

STUDY_TEXT = """\
Makes the data of a study, trains what its file names with paired seeds, tests every training once, and writes the
table. Finished runs are kept: stop it with Ctrl-C and run the same command again.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the benchmarks."""
    benches = parser.add_subparsers(dest='bench', required=True, metavar='WHAT')
    synth = benches.add_parser('synth', help='run the benchmark on the embedded world', description=SYNTH_TEXT)
    _add_work(synth)
    synth.add_argument('--seeds', type=int, default=5, help='paired seeds of the main setting (default: %(default)s)')
    _add_pace(synth)
    synth.add_argument('--settings', nargs='+', metavar='NAME', help='only these settings (default: all)')
    synth.add_argument('--arms', nargs='+', metavar='NAME', help='only these arms (default: all)')
    synth.add_argument('--plan', type=Path, help='another plan (JSON, as PLAN in the work folder)')
    synth.add_argument('--out', type=Path, help='write OUT/results.json, runs.csv, summary.csv and the tables')
    synth.add_argument('--report-only', action='store_true', help='train nothing: write the tables of what is there')
    synth.set_defaults(bench_run=_synth)
    one = benches.add_parser('run', help='execute one run of a plan in this process, such as main/monoskd/0')
    one.add_argument('id', help='setting/arm/seed')
    _add_work(one)
    one.add_argument('--no-test', action='store_true', help='leave the test split alone (for choosing settings)')
    one.set_defaults(bench_run=_one)
    study = benches.add_parser('study', help='compare trainings over paired seeds', description=STUDY_TEXT)
    study.add_argument('file', type=Path, help='the study, such as benchmarks/studies/monotakd.py')
    _add_work(study)
    study.add_argument('--seeds', type=_positive, help="paired seeds (default: the study's)")
    study.add_argument('--trainings', nargs='+', metavar='NAME', help='only these, and what they need (default: all)')
    _add_pace(study)
    study.add_argument('--out', type=Path, help='write OUT.md and OUT.json')
    study.add_argument('--report-only', action='store_true', help='train nothing: write the table of what is there')
    study.set_defaults(bench_run=_study)
    study_run = benches.add_parser('study-run', help='execute one run of a study in this process')
    study_run.add_argument('file', type=Path, help='the study')
    study_run.add_argument('id', help='study/training/seed')
    _add_work(study_run)
    study_run.set_defaults(bench_run=_study_run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen one; return 0, 3 if time ran out, or 130 if it was interrupted."""
    try:
        with termination_as_interrupt():
            return int(args.bench_run(args))
    except KeyboardInterrupt:
        print('interrupted; finished runs are kept, run the same command again to continue')
        return INTERRUPTED


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--work', type=Path, required=True, help='folder for data, runs and logs')


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'{text} is not a positive number')
    return number


def _add_pace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--workers', type=int, default=default_workers(), help='runs at a time (default: %(default)s)')
    parser.add_argument('--minutes', type=float, help='begin no run after so many minutes')


def _synth(args: argparse.Namespace) -> int:
    from mono_distill.apis.synth_bench.configs import Folders
    from mono_distill.apis.synth_bench.data import make_world
    from mono_distill.apis.synth_bench.default_plan import default_plan
    from mono_distill.apis.synth_bench.plan import Plan
    from mono_distill.apis.synth_bench.schedule import run_all

    folders = Folders(args.work.resolve())
    plan = Plan.load(args.plan) if args.plan else default_plan(args.seeds)
    runs = plan.runs(args.settings, args.arms)
    left = []
    if not args.report_only:
        with locked_folder(folders.work, 'benchmark', '--work'):
            plan.save(folders.plan)
            for name in dict.fromkeys(plan.settings[one.setting].world for one in runs):
                make_world(plan.worlds[name], folders.data(name), workers=args.workers, say=_say)
            left = run_all(runs, plan, folders, workers=args.workers, minutes=args.minutes, say=_say)
    if args.out is not None:
        from mono_distill.apis.synth_bench.report import write_report

        for path in write_report(runs, plan, folders, args.out):
            _say(f'wrote {path}')
    return _left(left)


def _left(runs: Sequence[Run]) -> int:
    if runs:
        _say(f'time ran out before {len(runs)} runs: {", ".join(one.id for one in runs)}')
    return 3 if runs else 0


def _study(args: argparse.Namespace) -> int:
    from mono_distill.apis.paired_study.configs import config_of
    from mono_distill.apis.paired_study.execute import make_data
    from mono_distill.apis.paired_study.report import write_report
    from mono_distill.apis.paired_study.study import Study
    from mono_distill.apis.synth_bench.configs import Folders
    from mono_distill.apis.synth_bench.schedule import run_all

    study, folders = Study.load(args.file), Folders(args.work.resolve())
    if args.report_only and args.out is None:
        raise ConfigError('--report-only writes the table alone; say where with --out')
    runs = study.runs(args.trainings, args.seeds)
    left: list[Run] = []
    if not args.report_only:
        for name in dict.fromkeys(one.arm for one in runs):
            # What is wrong with an arm shows now, not after the hours before it.
            config_of(study.run(name, 0), study, folders)
        pace: dict[str, Any] = dict(workers=args.workers, minutes=args.minutes, say=_say)
        with locked_folder(folders.work, 'study', '--work'):
            make_data(study, folders, say=_say)
            command = ('bench', 'study-run', str(args.file.resolve()))
            left = run_all(runs, study, folders, command=command, **pace)
    if args.out is not None:
        for path in write_report(study, folders, args.out, seeds=args.seeds):
            _say(f'wrote {path}')
    return _left(left)


def _study_run(args: argparse.Namespace) -> int:
    from mono_distill.apis.paired_study.execute import execute
    from mono_distill.apis.paired_study.study import Study
    from mono_distill.apis.synth_bench.configs import Folders
    from mono_distill.apis.synth_bench.plan import Run

    study, run = Study.load(args.file), Run.parse(args.id)
    result = execute(run, study, Folders(args.work.resolve()))
    key = next(iter(study.metrics.values()))
    _say(f'{run.id}: {key} {result["test"][key]:.4f}')
    return 0


def _one(args: argparse.Namespace) -> int:
    from mono_distill.apis.synth_bench.configs import Folders
    from mono_distill.apis.synth_bench.execute import execute
    from mono_distill.apis.synth_bench.plan import PRIMARY, Plan, Run

    folders = Folders(args.work.resolve())
    result = execute(Run.parse(args.id), Plan.load(folders.plan), folders, test=not args.no_test)
    _say(f'{args.id}: {PRIMARY} on the test split {result["test"].get(PRIMARY, float("nan")):.2f}')
    _say(f'its config: {shlex.quote(str(folders.run(Run.parse(args.id)) / "config.py"))}')
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
    sys.stdout.flush()
