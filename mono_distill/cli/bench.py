"""``mono-distill bench``: the benchmark on the embedded world."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from mono_distill.cli.long_runs import INTERRUPTED, default_workers, termination_as_interrupt

SYNTH_TEXT = """\
Makes the worlds, trains teachers, students and every arm of the plan with paired seeds, evaluates each once on the test
split, and writes the tables. Finished runs are kept: stop it with Ctrl-C and run the same command again. A part of the
plan is chosen with --settings and --arms; what those need is trained too.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the benchmarks."""
    benches = parser.add_subparsers(dest='bench', required=True, metavar='WHAT')
    synth = benches.add_parser('synth', help='run the benchmark on the embedded world', description=SYNTH_TEXT)
    _add_work(synth)
    synth.add_argument('--seeds', type=int, default=5, help='paired seeds of the main setting (default: %(default)s)')
    synth.add_argument('--workers', type=int, default=default_workers(), help='runs at a time (default: %(default)s)')
    synth.add_argument('--settings', nargs='+', metavar='NAME', help='only these settings (default: all)')
    synth.add_argument('--arms', nargs='+', metavar='NAME', help='only these arms (default: all)')
    synth.add_argument('--plan', type=Path, help='another plan (JSON, as PLAN in the work folder)')
    synth.add_argument('--minutes', type=float, help='begin no run after so many minutes')
    synth.add_argument('--out', type=Path, help='write OUT/results.json, runs.csv, summary.csv and the tables')
    synth.add_argument('--report-only', action='store_true', help='train nothing: write the tables of what is there')
    synth.set_defaults(bench_run=_synth)
    one = benches.add_parser('run', help='execute one run of a plan in this process, such as main/monoskd/0')
    one.add_argument('id', help='setting/arm/seed')
    _add_work(one)
    one.add_argument('--no-test', action='store_true', help='leave the test split alone (for choosing settings)')
    one.set_defaults(bench_run=_one)


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
        folders.work.mkdir(parents=True, exist_ok=True)
        plan.save(folders.plan)
        for name in dict.fromkeys(plan.settings[one.setting].world for one in runs):
            make_world(plan.worlds[name], folders.data(name), workers=args.workers, say=_say)
        left = run_all(runs, plan, folders, workers=args.workers, minutes=args.minutes, say=_say)
    if args.out is not None:
        from mono_distill.apis.synth_bench.report import write_report

        for path in write_report(runs, plan, folders, args.out):
            _say(f'wrote {path}')
    if left:
        _say(f'time ran out before {len(left)} runs: {", ".join(one.id for one in left)}')
    return 3 if left else 0


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
