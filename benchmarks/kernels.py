"""Time and memory of the array kernels at the published training sizes against straightforward forms.

    python benchmarks/kernels.py [--seconds 3] [--only NAME] [--out benchmarks/results]

BEV kernels have the sizes of BEVDepth R50 on nuScenes (six cameras, 16 x 44 pixels, 112 depth bins, 80 channels,
128 x 128 cells), the lift those of MonoTAKD on KITTI (64 channels, 120 bins, 47 x 156 pixels, 140 x 188 x 10 voxels).
Everything runs on one thread of the CPU: median processor time of the forward and the backward pass, and the peak of
the memory that PyTorch allocated (buffers of NumPy and of compiled packages not counted). Each form runs once to warm
up, then for ``--seconds`` or twice at least. The results of both forms are compared first.

The yardstick is the time of a plain copy that moves as many bytes as all inputs, results and gradients have together,
below which no form can get, or of ``torch.sort`` where the kernel has to sort.

Straightforward forms are those of benchmarks/reference_kernels.py, written after the official code, or public packages:
mmdet3d, shapely, and torchsort if it is installed (``pip install torchsort --no-build-isolation``; it is compiled).
mmdet3d's own overlap of rotated boxes runs on CUDA only; benchmarks/kitti_metric.py compares the whole evaluation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parent))
from kernel_cases import Kernel, kernels


@dataclass
class Cost:
    """Median milliseconds of one pass and peak mebibytes of both together."""

    forward_ms: float
    backward_ms: float
    mib: float

    @property
    def step_ms(self) -> float:
        """Forward and backward."""
        return self.forward_ms + self.backward_ms


def one_pass(
    function: Callable[[], Tensor], leaves: list[Tensor], cotangent: Tensor | None
) -> tuple[Any, float, float]:
    """Result with gradients, seconds forward, seconds backward."""
    begin = time.process_time()
    result = function()
    middle = time.process_time()
    gradients = torch.autograd.grad(result, leaves, cotangent) if leaves else ()
    return (result.detach(), *gradients), middle - begin, time.process_time() - middle


def measure(function: Callable[[], Tensor], leaves: list[Tensor], cotangent: Tensor | None, seconds: float) -> Cost:
    """Median time and peak memory of one pass."""
    forward, backward, begin = [], [], time.process_time()
    while len(forward) < 2 or time.process_time() - begin < seconds:
        _, ahead, back = one_pass(function, leaves, cotangent)
        forward.append(ahead * 1e3)
        backward.append(back * 1e3)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorder:
        one_pass(function, leaves, cotangent)
    events = [event for event in recorder.profiler.kineto_results.events() if event.name() == '[memory]']
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    peak = max(itertools.accumulate(changes), default=0) / 2**20
    return Cost(statistics.median(forward), statistics.median(backward), peak)


def yardstick_ms(kernel: Kernel, results: tuple[Tensor, ...]) -> float:
    """Milliseconds of a copy that moves as many bytes as forward and backward must, or of the sort."""
    if kernel.keys is not None:
        return _best(lambda: kernel.keys.sort(-1))
    # Read forward and backward; the gradient of the result, of its size, is read, those of the leaves are written.
    passes = 2 if kernel.leaves else 1
    moved = passes * sum(x.numel() * x.element_size() for x in [*kernel.leaves, *kernel.inputs, results[0]])
    moved += sum(x.numel() * x.element_size() for x in results[1:])
    # A copy reads and writes.
    source = torch.zeros(math.ceil(moved / 8), dtype=torch.float32)
    target = torch.empty_like(source)
    return _best(lambda: target.copy_(source))


def _best(function: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        begin = time.process_time()
        function()
        times.append(time.process_time() - begin)
    return min(times) * 1e3


def compare(kernel: Kernel, seconds: float) -> dict[str, Any]:
    """One row: both costs, and how far the results are apart."""
    with torch.no_grad():
        cotangent = torch.randn_like(kernel.fast()) if kernel.leaves else None
    expected, _, _ = one_pass(kernel.slow, kernel.leaves, cotangent)
    actual, _, _ = one_pass(kernel.fast, kernel.leaves, cotangent)
    difference = max(
        ((a.double() - e.double()).abs().max() / e.double().abs().max().clamp(min=1e-12)).item()
        for a, e in zip(actual, expected, strict=True)
    )
    yardstick = yardstick_ms(kernel, expected)
    fast = measure(kernel.fast, kernel.leaves, cotangent, seconds)
    slow = measure(kernel.slow, kernel.leaves, cotangent, seconds)
    return dict(
        kernel=kernel.name,
        reference=kernel.reference,
        straightforward=asdict(slow),
        ours=asdict(fast),
        ratio_forward=slow.forward_ms / fast.forward_ms,
        ratio_backward=slow.backward_ms / fast.backward_ms if kernel.leaves else None,
        ratio=slow.step_ms / fast.step_ms,
        yardstick_ms=yardstick,
        difference=difference,
    )


COLUMNS = (
    ('kernel', lambda row: row['kernel']),
    ('straightforward form', lambda row: row['reference']),
    ('its forward, ms', lambda row: f'{row["straightforward"]["forward_ms"]:.2f}'),
    ('its backward, ms', lambda row: _or_dash(row, row['straightforward']['backward_ms'], '.2f')),
    ('our forward, ms', lambda row: f'{row["ours"]["forward_ms"]:.2f}'),
    ('our backward, ms', lambda row: _or_dash(row, row['ours']['backward_ms'], '.2f')),
    ('forward, times', lambda row: f'{row["ratio_forward"]:.1f}'),
    ('backward, times', lambda row: _or_dash(row, row['ratio_backward'], '.1f')),
    ('both, times', lambda row: f'{row["ratio"]:.1f}'),
    ('copy or sort, ms', lambda row: f'{row["yardstick_ms"]:.2f}'),
    ('its MiB', lambda row: f'{row["straightforward"]["mib"]:.0f}'),
    ('our MiB', lambda row: f'{row["ours"]["mib"]:.0f}'),
    ('results differ by', lambda row: f'{row["difference"]:.0e}'),
)


def _or_dash(row: dict[str, Any], value: float | None, form: str) -> str:
    return format(value, form) if row['ratio_backward'] is not None else '-'


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [[name for name, _ in COLUMNS], ['---'] * len(COLUMNS)]
    lines += [[show(row) for _, show in COLUMNS] for row in rows]
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines)


def environment() -> dict[str, str]:
    """What the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    names = Path('/proc/cpuinfo')
    if names.exists():
        cpu = next((x.split(':')[1].strip() for x in names.read_text().splitlines() if x.startswith('model name')), cpu)
    return dict(torch=torch.__version__, cpu=cpu, threads='1', python=platform.python_version())


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=3.0, help='time for each form of each row')
    parser.add_argument('--only', default='', help='run rows whose name contains this; nothing is written then')
    parser.add_argument('--out', type=Path, default=Path(__file__).resolve().parent / 'results')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for kernel in kernels():
        if args.only in kernel.name:
            rows.append(compare(kernel, args.seconds))
            print(f'{kernel.name}: {rows[-1]["ratio"]:.1f} times', file=sys.stderr)
    print(table(rows))
    if args.only:
        return
    setting = environment()
    command = f'python benchmarks/kernels.py --seconds {args.seconds:g}'
    text = (
        '# Array kernels\n\n'
        f'Ours, measured with `{command}`: torch {setting["torch"]}, one thread of an {setting["cpu"]}, median '
        'processor time, peak of the memory PyTorch allocated in forward and backward pass. The straightforward forms '
        'are described in `benchmarks/reference_kernels.py`. "Copy or sort" is the time of a plain copy of as many '
        'bytes as inputs, results and gradients have, or of `torch.sort` for the kernels that sort. Not measured on a '
        'GPU.\n\n'
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'kernels.md').write_text(text + table(rows), encoding='utf-8')
    record = dict(command=command, environment=setting, rows=rows)
    (args.out / 'kernels.json').write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
