"""What a training step of a distillation on KITTI costs, beside the step of the student that trains alone.

    python benchmarks/distilled_step.py [--sizes tiny published] [--seconds 5] [--out benchmarks/results]

Frames of the embedded world go through the pipelines and models of both configs (random weights; the time does not
depend on them). The student is the one of its own config, with its own losses; the distillation adds frozen teachers
and their terms and leaves the annotations. Measured are the preprocessors, forward and backward pass, in processor
seconds of one thread, both in turn after one run each that does not count, and the peak of the memory that PyTorch
allocated. LiDAR teacher is PointPillars.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import environment, measure, write_results
from kd_branch import one_batch
from mmengine.registry import init_default_scope

from mono_distill.apis.launch import load_config
from mono_distill.registry import MODELS

RESULTS = Path(__file__).resolve().parent / 'results'
# Size to images per batch, the student's config and the distillation of it.
SIZES = {
    'tiny': (4, 'caddn_tiny_kitti', 'monotakd_tiny_kitti'),
    'published': (1, 'caddn_r50_kitti', 'monotakd_kitti'),
}


def step_of(config_path: str, batch: int) -> Callable[[], Tensor]:
    """Return the training step of a config, without the optimizer, on one batch of its pipeline."""
    config = load_config(config_path)
    for teacher in config.model.get('teachers', {}).values():
        teacher.update(checkpoint=None, allow_random=True)
    model: Any = MODELS.build(config.model).train()
    with tempfile.TemporaryDirectory() as folder:
        raw = one_batch(config, Path(folder) / 'kitti', batch)

    def run() -> Tensor:
        model.zero_grad()
        losses = model(**model.data_preprocessor(raw, True), mode='loss')
        total: Tensor = model.parse_losses(losses)[0]
        total.backward()
        return total

    return run


def measure_size(size: str, seconds: float) -> dict[str, Any]:
    """Return the row of one size."""
    batch, student, name = SIZES[size]
    steps = [step_of(f'mono_distill::{path}.py', batch) for path in (f'students/{student}', name)]
    for step in steps:
        step()
    # The backward pass is part of the step, so that no leaves are left for one of their own.
    own, whole = measure(steps, [], None, seconds)
    return {
        'config': name,
        'student': student,
        'batch': batch,
        'own_ms': own.forward_ms,
        'whole_ms': whole.forward_ms,
        'own_mib': own.mib,
        'whole_mib': whole.mib,
    }


def page(rows: list[dict[str, Any]], command: str) -> str:
    """Return the results as Markdown."""
    setting = environment()
    head = (
        f'Ours, measured with `{command}`: torch {setting["torch"]}, {setting["device"]}, frames of the embedded '
        'world, PointPillars as LiDAR teacher, median processor time of the two in turn, peak of the memory PyTorch '
        'allocated.'
    )
    lines = [
        "# A step of the distillation beside the student's own",
        '',
        head,
        '',
        "| distillation | student alone | images | its own step, ms | the distillation's, ms | times | its MiB | MiB |",
        '|---|---|---|---|---|---|---|---|',
    ]
    for row in rows:
        own, whole = row['own_ms'], row['whole_ms']
        times = f'{own:.0f} | {whole:.0f} | {whole / own:.2f}'
        memory = f'{row["own_mib"]:.0f} | {row["whole_mib"]:.0f}'
        lines.append(f'| `{row["config"]}` | `{row["student"]}` | {row["batch"]} | {times} | {memory} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', nargs='+', choices=list(SIZES), default=list(SIZES))
    parser.add_argument('--seconds', type=float, default=5.0, help='time for each of the two, three turns at least')
    parser.add_argument('--out', type=Path, default=RESULTS, help='folder for the table')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ.update(LIDAR_TEACHER='pointpillars_bev_kitti', RESNET50_WEIGHTS='none')
    init_default_scope('mmdet3d')
    rows = [measure_size(size, args.seconds) for size in args.sizes]
    command = f'python benchmarks/distilled_step.py --sizes {" ".join(args.sizes)} --seconds {args.seconds:g}'
    text = page(rows, command)
    write_results(args.out / 'distilled_step', {'command': command, 'rows': rows}, text)
    print(text)


if __name__ == '__main__':
    main()
