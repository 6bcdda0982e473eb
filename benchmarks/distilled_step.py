"""What a training step of a distillation on KITTI costs, beside the step of the student that trains alone.

    python benchmarks/distilled_step.py [--sizes tiny published] [--repeats 5] [--out benchmarks/results]

Frames of the embedded world go through the pipelines and models of both configs (random weights; the time does not
depend on them). The student is the one of its own config, with its own losses; the distillation adds frozen teachers
and their terms and leaves the annotations. Measured are forward and backward pass and the preprocessors, in processor
seconds of one thread, both in turn; the median over the repeats. LiDAR teacher is PointPillars.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import init_default_scope

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import environment
from kd_branch import one_batch

from mono_distill.apis.launch import load_config
from mono_distill.registry import MODELS
from mono_distill.utils.atomic import atomic_path

RESULTS = Path(__file__).resolve().parent / 'results'
# Size to images per batch, the student's config and the distillation of it.
SIZES = {
    'tiny': (4, 'caddn_tiny_kitti', 'monotakd_tiny_kitti'),
    'published': (1, 'caddn_r50_kitti', 'monotakd_kitti'),
}


def step_of(config_path: str, batch: int) -> Callable[[], None]:
    """Return the training step of a config, without the optimizer, on one batch of its pipeline."""
    config = load_config(config_path)
    for teacher in config.model.get('teachers', {}).values():
        teacher.update(checkpoint=None, allow_random=True)
    model: Any = MODELS.build(config.model).train()
    with tempfile.TemporaryDirectory() as folder:
        raw = one_batch(config, Path(folder) / 'kitti', batch)
    if hasattr(model, 'bank'):
        model.bank.load()
        model.set_progress(1.0, 1000)

    def run() -> None:
        model.zero_grad()
        losses = model(**model.data_preprocessor(raw, True), mode='loss')
        model.parse_losses(losses)[0].backward()

    return run


def in_turn(steps: list[Callable[[], None]], repeats: int) -> list[float]:
    """Median processor seconds of each, after one run that is not counted."""
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(repeats + 1):
        for step, own in zip(steps, times, strict=True):
            begin = time.process_time()
            step()
            if turn:
                own.append(time.process_time() - begin)
    return [statistics.median(own) for own in times]


def measure(size: str, repeats: int) -> dict[str, Any]:
    """Return the row of one size."""
    batch, student, name = SIZES[size]
    steps = [step_of(f'mono_distill::students/{student}.py', batch), step_of(f'mono_distill::{name}.py', batch)]
    own, whole = in_turn(steps, repeats)
    return {'config': name, 'student': student, 'batch': batch, 'own_s': own, 'whole_s': whole}


def table(rows: list[dict[str, Any]], command: str) -> str:
    """Return the results as Markdown."""
    setting = environment()
    head = (
        f'Ours, measured with `{command}`: torch {setting["torch"]}, {setting["device"]}, frames of the '
        'embedded world, PointPillars as LiDAR teacher, median processor time of the two in turn.'
    )
    lines = [
        "# A step of the distillation beside the student's own",
        '',
        head,
        '',
        "| distillation | student alone | images | its own step, s | the distillation's, s | times |",
        '|---|---|---|---|---|---|',
    ]
    lines += [
        f'| `{row["config"]}` | `{row["student"]}` | {row["batch"]} | {row["own_s"]:.2f} | {row["whole_s"]:.2f} | '
        f'{row["whole_s"] / row["own_s"]:.2f} |'
        for row in rows
    ]
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', nargs='+', choices=list(SIZES), default=list(SIZES))
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--out', type=Path, default=RESULTS, help='folder for the table')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ.update(LIDAR_TEACHER='pointpillars_bev_kitti', RESNET50_WEIGHTS='none')
    init_default_scope('mmdet3d')
    rows = [measure(size, args.repeats) for size in args.sizes]
    command = f'python benchmarks/distilled_step.py --sizes {" ".join(args.sizes)} --repeats {args.repeats}'
    text = table(rows, command)
    args.out.mkdir(parents=True, exist_ok=True)
    for suffix, content in (('json', json.dumps({'command': command, 'rows': rows}, indent=1) + '\n'), ('md', text)):
        with atomic_path(args.out / f'distilled_step.{suffix}') as temporary:
            temporary.write_text(content)
    print(text)


if __name__ == '__main__':
    main()
