"""MonoTAKD on a few real KITTI frames by its one command: that it runs, skips what is done, and fits what it sees.

Runs `mono-distill prepare kitti` and `mono-distill stages configs/monotakd_tiny_kitti.py` in a work folder: teacher
(PointPillars), student, assistant and distillation. Then the same command again, which has to skip all of them. Every
one is scored on the frames it was trained on and draws its boxes beside the annotated ones, on the picture and from
above, into ``FOLDER/pictures/CONFIG``. The scores say that each can fit what it sees, nothing about generalisation.

    python benchmarks/real_takd.py --root KITTI --work FOLDER --out benchmarks/results/real_takd

Writes a table (Markdown) and its numbers (JSON). A call that was interrupted is continued by the same call.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import write_results
from real_frames import CONFIGS, SCORES, frames, last_checkpoint, prepare, scores_of, steps

# 'wall_s' and 'cpu_s', processor time.
Seconds = dict[str, float]
DISTILLATION = CONFIGS / 'monotakd_tiny_kitti.py'
STUDENT = CONFIGS / 'students' / 'caddn_tiny_kitti.py'
# In the order of the command.
TITLES = {
    CONFIGS / 'teachers' / 'pointpillars_tiny_bev_kitti.py': 'teacher: PointPillars (points)',
    STUDENT: 'student (picture)',
    CONFIGS / 'assistants' / 'caddn_tiny_lidar_kitti.py': 'assistant (picture, depth of the points)',
    DISTILLATION: 'student + MonoTAKD (picture)',
}
# Smaller batches than the configs', for more steps in the same time, and twice as many of them: the teacher needs them.
OPTIONS = ('train_dataloader.dataset.times=12', 'train_dataloader.batch_size=2')
# What the command says at the beginning and the end of a training.
_LINE = re.compile(r'\[\d+/\d+\] [\w ]+: (\w+): (training|goes on|done before|done)\b')


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended (Linux)."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf('SC_CLK_TCK')


def run_stages(
    work: Path, options: Sequence[str], environment: dict[str, str], trained: Callable[[str, Seconds], None]
) -> Seconds:
    """Run the command in the work folder; its output goes to a log beside.

    Args:
        work: The work folder.
        options: Of the command.
        environment: Of the command.
        trained: Takes the name and the seconds of every training that was not skipped, when it is done.

    Returns:
        The seconds of the whole command.

    Raises:
        CalledProcessError: It failed.
    """
    call = [sys.executable, '-m', 'mono_distill.cli.main', 'stages', str(DISTILLATION), *options]
    start = time.perf_counter()
    wall = cpu = 0.0
    began = (wall, cpu)
    output: dict[str, Any] = {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT, 'text': True}
    with (
        (work / 'commands.log').open('a') as log,
        subprocess.Popen(call, cwd=work, env=environment, **output) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            log.flush()
            found = _LINE.match(line)
            if found is None:
                continue
            name, what = found.groups()
            wall, cpu = time.perf_counter() - start, processor_seconds(process.pid)
            if what == 'done':
                trained(name, {'wall_s': wall - began[0], 'cpu_s': cpu - began[1]})
            else:
                began = (wall, cpu)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, call)
    return {'wall_s': time.perf_counter() - start, 'cpu_s': cpu}


def train(work: Path, options: Sequence[str], environment: dict[str, str]) -> dict[str, Seconds]:
    """Run the command, then once more; return the seconds of the trainings, and of the second call as ``'again'``.

    Those of earlier calls are kept in ``seconds.json``. Of a training that was interrupted it has the last part.

    Raises:
        RuntimeError: The second call trained something.
    """
    file = work / 'seconds.json'
    seconds: dict[str, Seconds] = json.loads(file.read_text()) if file.is_file() else {}

    def keep(name: str, spent: Seconds) -> None:
        seconds[name] = spent
        file.write_text(json.dumps(seconds, indent=1) + '\n')
        print(f'{name}: {spent["cpu_s"]:.0f} s of processor time, {spent["wall_s"]:.0f} s', flush=True)

    def refuse(name: str, spent: Seconds) -> None:
        raise RuntimeError(f'the second call trained {name} again; it has to skip it')

    run_stages(work, options, environment, keep)
    keep('again', run_stages(work, options, environment, refuse))
    return seconds


def measure(root: Path, work: Path, options: Sequence[str], distillation_options: Sequence[str]) -> dict:
    """Prepare, train, score and draw; return the numbers."""
    environment = {**os.environ, 'KITTI_ROOT': str(work / 'kitti')}
    options = ['--all-options', *options]
    if distillation_options:
        options += ['--cfg-options', *distillation_options]
    prepare(root, work, environment)
    seconds = train(work, options, environment)
    result: dict = {
        'machine': f'{os.cpu_count()} cores, {platform.machine()}',
        'torch': torch.__version__,
        'frames': frames(work),
        'options': options,
        'again': seconds['again'],
        'rows': [],
    }
    for config, title in TITLES.items():
        checkpoint = last_checkpoint(work / 'work_dirs' / config.stem)
        pictures = ['--show-dir', str(work / 'pictures' / config.stem)]
        scores = ap40(scores_of(config, checkpoint, config.stem, pictures, work, environment))
        row = {'title': title, 'config': config.stem, 'steps': steps(checkpoint), **seconds[config.stem]}
        result['rows'].append({**row, 'AP40': scores})
        print(f'{title}: {scores}', flush=True)
    distilled = last_checkpoint(work / 'work_dirs' / DISTILLATION.stem)
    plain = ap40(scores_of(STUDENT, distilled, 'plain', [], work, environment))
    result['same_through_plain_student'] = plain == result['rows'][-1]['AP40']
    return result


def ap40(scores: dict[str, float]) -> dict[str, float]:
    """Return the moderate AP40 of cars."""
    return {column: scores[key.format(metric='AP40')] for column, key in SCORES.items()}


def table(result: dict) -> str:
    """Return the numbers as a Markdown table."""
    head = (
        f'{result["frames"]} KITTI frames, trained and evaluated on the same frames (seed 444, last checkpoint, '
        f'torch {result["torch"]}, one thread). Car, moderate, AP40, each frame counted 41 times.'
    )
    titles = ['', 'config', 'steps', 'processor time', *SCORES]
    rows = []
    for row in result['rows']:
        cells = [f'{row["AP40"][column]:.1f}' for column in SCORES]
        begin = [row['title'], f'`{row["config"]}`', str(row['steps']), f'{row["cpu_s"]:.0f} s']
        rows.append(f'| {" | ".join([*begin, *cells])} |')
    same = 'the same numbers' if result['same_through_plain_student'] else 'DIFFERENT numbers'
    foot = (
        f'The same command again takes {result["again"]["cpu_s"]:.0f} s of processor time: it skips all four. Through '
        f'the plain student config the distilled checkpoint gives {same}.'
    )
    return '\n'.join([head, '', f'| {" | ".join(titles)} |', '|---' * len(titles) + '|', *rows, '', foot]) + '\n'


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, required=True, help='KITTI folder with a few frames')
    parser.add_argument('--work', type=Path, required=True, help='folder for data, checkpoints, logs and pictures')
    parser.add_argument(
        '--all-options', nargs='+', default=OPTIONS, help='settings for every training (default: %(default)s)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=(),
        help='settings for the distillation alone, before the others',
    )
    parser.add_argument('--out', type=Path, help='write OUT.json and OUT.md')
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    result = measure(args.root.resolve(), args.work.resolve(), args.all_options, args.cfg_options)
    text = table(result)
    print(text)
    if args.out is not None:
        write_results(args.out, result, text)


if __name__ == '__main__':
    main()
