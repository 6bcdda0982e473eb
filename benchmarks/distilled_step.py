"""What a training step of a distillation on KITTI costs, beside the step of the student that trains alone.

    python benchmarks/distilled_step.py [--sizes tiny published] [--seconds 5] [--out benchmarks/results]
                                        [--device cuda [--amp] [--teacher second_bev_kitti] [--batch 4]]

Frames of the embedded world go through the pipelines and models of both configs (random weights; the time does not
depend on them). The student is the one of its own config, with its own losses; the distillation adds frozen teachers
and their terms and leaves the annotations. Measured are the preprocessors, forward and backward pass, in processor
seconds of one thread, on a GPU seconds until it is done, both in turn after one run each that does not count, and the
peak of the memory that PyTorch allocated.
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
from comparison import environment, measure, time_on, write_results
from kd_branch import one_batch
from mmengine.registry import init_default_scope

from mono_distill.apis.launch import load_config, pin_batches
from mono_distill.registry import MODELS

RESULTS = Path(__file__).resolve().parent / 'results'
TEACHER = 'pointpillars_bev_kitti'
# Size to images per batch, the student's config and the distillation of it.
SIZES = {
    'tiny': (4, 'caddn_tiny_kitti', 'monotakd_tiny_kitti'),
    'published': (1, 'caddn_r50_kitti', 'monotakd_kitti'),
}


def step_of(config_path: str, batch: int, args: argparse.Namespace) -> Callable[[], Tensor]:
    """Return the training step of a config, without the optimizer, on one batch of its pipeline."""
    config = load_config(config_path)
    pin_batches(config)
    for teacher in config.model.get('teachers', {}).values():
        teacher.update(checkpoint=None, allow_random=True)
    model: Any = MODELS.build(config.model).train().to(args.device)
    with tempfile.TemporaryDirectory() as folder:
        raw = one_batch(config, Path(folder) / 'kitti', batch)

    def run() -> Tensor:
        model.zero_grad()
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.amp):
            losses = model(**model.data_preprocessor(raw, True), mode='loss')
            total: Tensor = model.parse_losses(losses)[0]
        total.backward()
        return total

    return run


def measure_size(size: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return the row of one size."""
    batch, student, name = SIZES[size]
    batch = args.batch or batch
    steps = [step_of(f'mono_distill::{path}.py', batch, args) for path in (f'students/{student}', name)]
    for step in steps:
        step()
    # The backward pass is part of the step, so that no leaves are left for one of their own.
    own, whole = measure(steps, [], None, args.seconds)
    return {
        'config': name,
        'student': student,
        'batch': batch,
        'own_ms': own.forward_ms,
        'whole_ms': whole.forward_ms,
        'own_mib': own.mib,
        'whole_mib': whole.mib,
    }


def page(rows: list[dict[str, Any]], command: str, args: argparse.Namespace) -> str:
    """Return the results as Markdown."""
    setting = environment()
    clock = 'median time until the GPU is done' if args.device == 'cuda' else 'median processor time'
    head = (
        f'Ours, measured with `{command}`: torch {setting["torch"]}, {setting["device"]}'
        f'{", bfloat16 autocast" if args.amp else ""}, frames of the embedded world, `teachers/{args.teacher}` as '
        f'LiDAR teacher of the published size, {clock} of the two in turn, peak of the memory PyTorch allocated.'
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
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--teacher', default=TEACHER, help='LiDAR teacher of the published size, in configs/teachers')
    parser.add_argument('--batch', type=int, help='images per batch (default: 4 of the tiny size, 1 published)')
    parser.add_argument('--out', type=Path, default=RESULTS, help='folder for the table')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    time_on(args.device)
    os.environ.update(LIDAR_TEACHER=args.teacher, RESNET50_WEIGHTS='none')
    init_default_scope('mmdet3d')
    rows = [measure_size(size, args) for size in args.sizes]
    command = f'python benchmarks/distilled_step.py --sizes {" ".join(args.sizes)} --seconds {args.seconds:g}'
    command += f' --device {args.device}' * (args.device != 'cpu') + ' --amp' * args.amp
    command += f' --teacher {args.teacher}' * (args.teacher != TEACHER)
    command += f' --batch {args.batch}' if args.batch else ''
    text = page(rows, command, args)
    name = 'distilled_step' + '_cuda' * (args.device == 'cuda') + '_amp' * args.amp
    write_results(args.out / name, {'command': command, 'rows': rows}, text)
    print(text)


if __name__ == '__main__':
    main()
