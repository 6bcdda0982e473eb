"""From a few real KITTI frames to a distilled detector: how long it takes on this machine, and that it learns.

Runs `mono-distill prepare`, the three tiny trainings and the evaluations in a work folder, then writes a table
(Markdown) and its numbers (JSON). The frames that are trained on are the ones evaluated: the scores say that the
pipeline fits what it sees, nothing about generalisation.

    python benchmarks/real_frames.py --root KITTI --work FOLDER --out benchmarks/results/real_frames
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from mono_distill.utils.atomic import atomic_path

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
STAGES = {
    'teacher (LiDAR depth map)': CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py',
    'student (image)': CONFIGS / 'students' / 'monodle_tiny_kitti.py',
    'student + MonoSKD': CONFIGS / 'monoskd_tiny_kitti.py',
}
COLUMNS = {
    '3D, IoU 0.5': 'KITTI/Car_3D_AP40_moderate_loose',
    '3D, IoU 0.7': 'KITTI/Car_3D_AP40_moderate_strict',
    'BEV, IoU 0.5': 'KITTI/Car_BEV_AP40_moderate_loose',
    'BEV, IoU 0.7': 'KITTI/Car_BEV_AP40_moderate_strict',
}


def command(arguments: list[str], work: Path, environment: dict[str, str]) -> float:
    """Run ``mono-distill`` in the work folder and return its seconds; its output goes to a log beside."""
    began = time.perf_counter()
    with (work / 'commands.log').open('a') as log:
        call = [sys.executable, '-m', 'mono_distill.cli.main', *arguments]
        subprocess.run(call, cwd=work, env=environment, stdout=log, stderr=log, check=True)
    return time.perf_counter() - began


def evaluate(config: Path, checkpoint: Path, name: str, repeat: int, work: Path, environment: dict[str, str]) -> dict:
    """Test a checkpoint and return the moderate AP40 of cars."""
    folder = work / 'tests' / name
    options = ['--work-dir', str(folder), '--cfg-options', f'test_evaluator.repeat={repeat}']
    command(['test', str(config), str(checkpoint), *options], work, environment)
    newest = max(folder.rglob('*.json'), key=lambda path: path.stat().st_mtime)
    scores = json.loads(newest.read_text().splitlines()[-1])
    return {column: scores[key] for column, key in COLUMNS.items()}


def measure(root: Path, work: Path) -> dict:
    """Run every stage and return the numbers."""
    environment = {**os.environ, 'KITTI_ROOT': str(work / 'kitti')}
    result: dict = {'machine': f'{os.cpu_count()} cores, {platform.machine()}', 'torch': torch.__version__, 'rows': []}
    result['prepare_s'] = command(
        ['prepare', 'kitti', '--root', str(root), '--out', str(work / 'kitti')], work, environment
    )
    result['frames'] = len(list((work / 'kitti' / 'training' / 'depth_dense').glob('*.png')))
    for name, config in STAGES.items():
        seconds = command(['train', str(config)], work, environment)
        folder = work / 'work_dirs' / config.stem
        checkpoint = folder / Path((folder / 'last_checkpoint').read_text()).name
        row = {'name': name, 'config': config.stem, 'train_s': seconds}
        row['repeated'] = evaluate(config, checkpoint, f'{config.stem}_41', 41, work, environment)
        row['kitti'] = evaluate(config, checkpoint, f'{config.stem}_1', 1, work, environment)
        result['rows'].append(row)
        print(f'{name}: {seconds:.0f} s, {row["repeated"]}')
    distilled = work / 'work_dirs' / 'monoskd_tiny_kitti' / 'epoch_40.pth'
    plain = evaluate(STAGES['student (image)'], distilled, 'plain', 41, work, environment)
    result['same_through_plain_student'] = plain == result['rows'][-1]['repeated']
    return result


def table(result: dict) -> str:
    """Return the numbers as a Markdown table."""
    head = (
        f'Ours: {result["frames"]} KITTI frames, trained and evaluated on the same frames (seed 444, last checkpoint, '
        f"torch {result['torch']}, {result['machine']}). Car, moderate, AP40; in brackets what KITTI's code gives "
        'without counting each frame 41 times, where so few objects cannot reach 100.'
    )
    rows = []
    for row in result['rows']:
        cells = [f'{row["repeated"][column]:.1f} ({row["kitti"][column]:.1f})' for column in COLUMNS]
        rows.append(f'| {row["name"]} | {row["train_s"]:.0f} s | {" | ".join(cells)} |')
    same = 'the same numbers' if result['same_through_plain_student'] else 'DIFFERENT numbers'
    foot = (
        f'Preparing the frames took {result["prepare_s"]:.0f} s. Through the plain student config the distilled '
        f'checkpoint gives {same}.'
    )
    titles = ['', 'training', *COLUMNS]
    lines = [head, '', f'| {" | ".join(titles)} |', '|---' * len(titles) + '|', *rows, '', foot]
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--root', type=Path, required=True, help='KITTI folder with a few frames')
    parser.add_argument('--work', type=Path, required=True, help='new folder for data, checkpoints and logs')
    parser.add_argument('--out', type=Path, help='write OUT.json and OUT.md')
    args = parser.parse_args()
    args.work.mkdir(parents=True)
    result = measure(args.root.resolve(), args.work.resolve())
    print(table(result))
    if args.out is not None:
        for suffix, text in (('.json', json.dumps(result, indent=1) + '\n'), ('.md', table(result))):
            with atomic_path(args.out.with_suffix(suffix)) as temporary:
                temporary.write_text(text)


if __name__ == '__main__':
    main()
