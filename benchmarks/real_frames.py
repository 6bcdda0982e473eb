"""From a few real KITTI frames to a distilled detector: how long it takes on this machine, and that it learns.

Runs `mono-distill prepare`, the three tiny trainings and the evaluations in a work folder, then writes a table
(Markdown) and its numbers (JSON). The frames that are trained on are the ones evaluated: the scores say that the
pipeline fits what it sees, nothing about generalisation.

    python benchmarks/real_frames.py --root KITTI --work FOLDER --out benchmarks/results/real_frames

With ``--student`` it trains that student alone instead (``all``: one after the other), scores it by AP40 and AP11, and
draws its boxes beside the annotated ones, on the picture and from above, into ``FOLDER/pictures/STUDENT``. The table
also has the students that were measured in the same work folder before.

    python benchmarks/real_frames.py --root KITTI --work FOLDER --student all --out benchmarks/results/real_students
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import write_results

from mono_distill.compat.checkpoints import load_checkpoint_file

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


@dataclass(frozen=True)
class Student:
    """A student to fit to the frames.

    Attributes:
        title: Name in the table.
        config: Its config.
        options: ``--cfg-options``: what its training needs more than MonoDLE's.
    """

    title: str
    config: Path
    options: tuple[str, ...] = ()


STUDENTS = {
    'monodle': Student('MonoDLE', CONFIGS / 'students' / 'monodle_tiny_kitti.py'),
    'didm3d': Student('DID-M3D', CONFIGS / 'students' / 'didm3d_tiny_kitti.py', ('train_dataloader.dataset.times=60',)),
    'monodetr': Student(
        'MonoDETR',
        CONFIGS / 'students' / 'monodetr_tiny_kitti.py',
        ('train_dataloader.dataset.times=25', 'model.num_groups=4'),
    ),
}
# Shown in this order; KITTI's own IoU of cars is 0.7.
SCORES = {
    f'{view}, IoU {iou}': f'KITTI/Car_{view}_{{metric}}_moderate_{strictness}'
    for view in ('3D', 'BEV')
    for iou, strictness in (('0.5', 'loose'), ('0.7', 'strict'))
}


def command(arguments: list[str], work: Path, environment: dict[str, str]) -> float:
    """Run ``mono-distill`` in the work folder and return its seconds; its output goes to a log beside."""
    began = time.perf_counter()
    with (work / 'commands.log').open('a') as log:
        call = [sys.executable, '-m', 'mono_distill.cli.main', *arguments]
        subprocess.run(call, cwd=work, env=environment, stdout=log, stderr=log, check=True)
    return time.perf_counter() - began


def prepare(root: Path, work: Path, environment: dict[str, str]) -> float:
    """Prepare the frames, where they are not yet; return its seconds."""
    if (work / 'kitti' / 'kitti_infos_trainval.pkl').is_file():
        return 0.0
    return command(['prepare', 'kitti', '--root', str(root), '--out', str(work / 'kitti')], work, environment)


def frames(work: Path) -> int:
    """Return how many frames were prepared."""
    return len(list((work / 'kitti' / 'training' / 'depth_dense').glob('*.png')))


def last_checkpoint(folder: Path) -> Path:
    """Return the last checkpoint of a work directory."""
    return folder / Path((folder / 'last_checkpoint').read_text()).name


def evaluate(config: Path, checkpoint: Path, name: str, repeat: int, work: Path, environment: dict[str, str]) -> dict:
    """Test a checkpoint and return the moderate AP40 of cars."""
    options = ['--cfg-options', f'test_evaluator.repeat={repeat}']
    scores = scores_of(config, checkpoint, name, options, work, environment)
    return {column: scores[key] for column, key in COLUMNS.items()}


def scores_of(
    config: Path, checkpoint: Path, name: str, options: list[str], work: Path, environment: dict[str, str]
) -> dict[str, float]:
    """Test a checkpoint and return all scores."""
    folder = work / 'tests' / name
    command(['test', str(config), str(checkpoint), '--work-dir', str(folder), *options], work, environment)
    newest = max(folder.rglob('*.json'), key=lambda path: path.stat().st_mtime)
    scores: dict[str, float] = json.loads(newest.read_text().splitlines()[-1])
    return scores


def measure(root: Path, work: Path) -> dict:
    """Run every stage and return the numbers."""
    environment = {**os.environ, 'KITTI_ROOT': str(work / 'kitti')}
    result: dict = {'machine': f'{os.cpu_count()} cores, {platform.machine()}', 'torch': torch.__version__, 'rows': []}
    result['prepare_s'] = prepare(root, work, environment)
    result['frames'] = frames(work)
    for name, config in STAGES.items():
        seconds = command(['train', str(config)], work, environment)
        checkpoint = last_checkpoint(work / 'work_dirs' / config.stem)
        row = {'name': name, 'config': config.stem, 'train_s': seconds}
        row['repeated'] = evaluate(config, checkpoint, f'{config.stem}_41', 41, work, environment)
        row['kitti'] = evaluate(config, checkpoint, f'{config.stem}_1', 1, work, environment)
        result['rows'].append(row)
        print(f'{name}: {seconds:.0f} s, {row["repeated"]}')
    distilled = work / 'work_dirs' / 'monoskd_tiny_kitti' / 'epoch_40.pth'
    plain = evaluate(STAGES['student (image)'], distilled, 'plain', 41, work, environment)
    result['same_through_plain_student'] = plain == result['rows'][-1]['repeated']
    return result


def measure_student(name: str, root: Path, work: Path) -> dict:
    """Fit one student to the frames, score it, draw what it sees; the numbers also go to ``student_NAME.json``."""
    environment = {**os.environ, 'KITTI_ROOT': str(work / 'kitti')}
    prepare(root, work, environment)
    student = STUDENTS[name]
    options = ['--cfg-options', *student.options] if student.options else []
    seconds = command(['train', str(student.config), *options], work, environment)
    checkpoint = last_checkpoint(work / 'work_dirs' / student.config.stem)
    pictures = work / 'pictures' / name
    options = ['--show-dir', str(pictures), *options]
    scores = scores_of(student.config, checkpoint, f'student_{name}', options, work, environment)
    result = {
        'title': student.title,
        'config': student.config.stem,
        'options': list(student.options),
        'steps': steps(checkpoint),
        'train_s': seconds,
        'frames': frames(work),
        'torch': torch.__version__,
        'AP40': {column: scores[key.format(metric='AP40')] for column, key in SCORES.items()},
        'AP11': {column: scores[key.format(metric='AP11')] for column, key in SCORES.items()},
    }
    (work / f'student_{name}.json').write_text(json.dumps(result, indent=1) + '\n')
    print(f'{student.title}: {seconds:.0f} s, {result["AP40"]}; pictures in {pictures}')
    return result


def steps(checkpoint: Path) -> int:
    """Return the number of training steps behind a checkpoint."""
    return int(load_checkpoint_file(checkpoint)['meta']['iter'])


def students_table(results: list[dict]) -> str:
    """Return the numbers of students as a Markdown table."""
    head = (
        f'{results[0]["frames"]} KITTI frames, trained and evaluated on the same frames (seed 444, last checkpoint, '
        f'torch {results[0]["torch"]}). Car, moderate, AP40 (AP11), each frame counted 41 times.'
    )
    titles = ['', 'config', 'steps', *SCORES]
    rows = []
    for result in results:
        cells = [f'{result["AP40"][column]:.1f} ({result["AP11"][column]:.1f})' for column in SCORES]
        rows.append(f'| {result["title"]} | `{result["config"]}` | {result["steps"]} | {" | ".join(cells)} |')
    return '\n'.join([head, '', f'| {" | ".join(titles)} |', '|---' * len(titles) + '|', *rows]) + '\n'


def measure_students(names: list[str], root: Path, work: Path) -> list[dict]:
    """Fit students one after the other; return their numbers and those of students of earlier calls."""
    for name in names:
        measure_student(name, root, work)
    files = [work / f'student_{name}.json' for name in STUDENTS]
    return [json.loads(file.read_text()) for file in files if file.is_file()]


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
    parser.add_argument(
        '--work', type=Path, required=True, help='folder for data, checkpoints and logs; new, unless with --student'
    )
    parser.add_argument('--student', choices=[*STUDENTS, 'all'], help='fit this student alone, or each in turn')
    parser.add_argument('--out', type=Path, help='write OUT.json and OUT.md')
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=args.student is not None)
    root, work = args.root.resolve(), args.work.resolve()
    result: dict | list[dict]
    if args.student is None:
        result = measure(root, work)
        text = table(result)
    else:
        result = measure_students(list(STUDENTS) if args.student == 'all' else [args.student], root, work)
        text = students_table(result)
    print(text)
    if args.out is not None:
        write_results(args.out, result, text)


if __name__ == '__main__':
    main()
