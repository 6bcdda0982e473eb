"""How the benchmarks compare two forms of one computation: results, gradients, time and memory."""

from __future__ import annotations

import itertools
import json
import math
import platform
import re
import statistics
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mono_distill.utils.atomic import atomic_path

LEAST_TURNS = 3
# Shorter passes are repeated, or what the other form left in the caches would count.
LEAST_TURN_SECONDS = 5e-3


@dataclass
class Case:
    """One row: two forms of the same computation.

    Attributes:
        name: What is computed, and how large.
        reference: What the straightforward form is.
        slow: The straightforward form; ``None`` for a package that is not installed.
        fast: Ours.
        leaves: Tensors that get a gradient; without any there is no backward pass.
        inputs: Further tensors that are read.
        keys: What a form that sorts has to sort; the yardstick is then that sort.
    """

    name: str
    reference: str
    slow: Callable[[], Tensor] | None
    fast: Callable[[], Tensor]
    leaves: list[Tensor] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)
    keys: Tensor | None = None


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


_clock = {'device': 'cpu'}


def time_on(device: str) -> None:
    """Say where the work is that is timed."""
    _clock['device'] = device


def on_gpu() -> bool:
    """Whether it is on a GPU."""
    return _clock['device'] == 'cuda'


def now() -> float:
    """Seconds: of the processor, which other programs do not disturb, or of the clock when the GPU is done."""
    if not on_gpu():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def one_pass(
    function: Callable[[], Tensor], leaves: list[Tensor], cotangent: Tensor | None
) -> tuple[Any, float, float]:
    """Result with gradients, seconds forward, seconds backward."""
    begin = now()
    result = function()
    middle = now()
    gradients = torch.autograd.grad(result, leaves, cotangent) if leaves else ()
    return (result.detach(), *gradients), middle - begin, now() - middle


def measure(
    forms: list[Callable[[], Tensor]], leaves: list[Tensor], cotangent: Tensor | None, seconds: float
) -> list[Cost]:
    """Median time and peak memory of a pass of each form; they take turns, so that a change of load meets all."""
    turns: list[list[tuple[float, float]]] = [[] for _ in forms]
    begin = now()
    while len(turns[0]) < LEAST_TURNS or now() - begin < seconds * len(forms):
        for form, series in zip(forms, turns, strict=True):
            series.append(one_turn(form, leaves, cotangent))
    return [
        Cost(*(statistics.median(times) for times in zip(*series, strict=True)), peak_mib(form, leaves, cotangent))
        for form, series in zip(forms, turns, strict=True)
    ]


def one_turn(function: Callable[[], Tensor], leaves: list[Tensor], cotangent: Tensor | None) -> tuple[float, float]:
    """Mean milliseconds forward and backward of the passes of one turn."""
    passes = 0
    ahead = back = 0.0
    while ahead + back < LEAST_TURN_SECONDS:
        _, forward, backward = one_pass(function, leaves, cotangent)
        ahead, back, passes = ahead + forward, back + backward, passes + 1
    return ahead * 1e3 / passes, back * 1e3 / passes


def peak_mib(function: Callable[[], Tensor], leaves: list[Tensor], cotangent: Tensor | None) -> float:
    """Peak of the memory that PyTorch allocated in one pass."""
    if on_gpu():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        one_pass(function, leaves, cotangent)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorder:
        one_pass(function, leaves, cotangent)
    events = [event for event in recorder.profiler.kineto_results.events() if event.name() == '[memory]']
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(changes), default=0) / 2**20


def yardstick_ms(case: Case, results: tuple[Tensor, ...]) -> float:
    """Milliseconds of a copy that moves as many bytes as forward and backward do, or of the sort."""
    if case.keys is not None:
        return _best(lambda: case.keys.sort(-1))
    # Read forward and backward; the gradient of the result, of its size, is read, those of the leaves are written.
    passes = 2 if case.leaves else 1
    moved = passes * sum(x.numel() * x.element_size() for x in [*case.leaves, *case.inputs, results[0]])
    moved += sum(x.numel() * x.element_size() for x in results[1:])
    # A copy reads and writes.
    source = torch.zeros(math.ceil(moved / 8), dtype=torch.float32)
    target = torch.empty_like(source)
    return _best(lambda: target.copy_(source))


def _best(function: Callable[[], object]) -> float:
    times = []
    for _ in range(7):
        begin = now()
        function()
        times.append(now() - begin)
    return min(times) * 1e3


def compare(case: Case, seconds: float) -> dict[str, Any]:
    """One row: both costs, and how far results and gradients are apart."""
    with torch.no_grad():
        cotangent = torch.randn_like(case.fast()) if case.leaves else None
    actual, _, _ = one_pass(case.fast, case.leaves, cotangent)
    row = dict(case=case.name, reference=case.reference, yardstick_ms=yardstick_ms(case, actual))
    if case.slow is None:
        (fast,) = measure([case.fast], case.leaves, cotangent, seconds)
        return dict(**row, straightforward=None, ours=asdict(fast), with_backward=bool(case.leaves))
    expected, _, _ = one_pass(case.slow, case.leaves, cotangent)
    difference = max(_difference(a.double(), e.to(a.device).double()) for a, e in zip(actual, expected, strict=True))
    del expected, actual
    slow, fast = measure([case.slow, case.fast], case.leaves, cotangent, seconds)
    return dict(
        **row,
        straightforward=asdict(slow),
        ours=asdict(fast),
        with_backward=bool(case.leaves),
        ratio_forward=slow.forward_ms / fast.forward_ms,
        ratio_backward=slow.backward_ms / fast.backward_ms if case.leaves else None,
        ratio=slow.step_ms / fast.step_ms,
        difference=difference,
    )


def _difference(actual: Tensor, expected: Tensor) -> float:
    return ((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-12)).item()


COLUMNS = (
    ('straightforward form', lambda row: row['reference']),
    ('its forward, ms', lambda row: _ms(row, 'straightforward', 'forward_ms')),
    ('its backward, ms', lambda row: _ms(row, 'straightforward', 'backward_ms')),
    ('our forward, ms', lambda row: _ms(row, 'ours', 'forward_ms')),
    ('our backward, ms', lambda row: _ms(row, 'ours', 'backward_ms')),
    ('forward, times', lambda row: _or_dash(row.get('ratio_forward'), '.1f')),
    ('backward, times', lambda row: _or_dash(row.get('ratio_backward'), '.1f')),
    ('both, times', lambda row: _or_dash(row.get('ratio'), '.1f')),
    ('copy or sort, ms', lambda row: f'{row["yardstick_ms"]:.2f}'),
    ('its MiB', lambda row: _or_dash((row['straightforward'] or {}).get('mib'), '.0f')),
    ('our MiB', lambda row: f'{row["ours"]["mib"]:.0f}'),
    ('results differ by', lambda row: _or_dash(row.get('difference'), '.0e')),
)


def _ms(row: dict[str, Any], form: str, pass_: str) -> str:
    if row[form] is None:
        return 'not installed' if pass_ == 'forward_ms' else '-'
    return f'{row[form][pass_]:.2f}' if row['with_backward'] or pass_ == 'forward_ms' else '-'


def _or_dash(value: float | None, form: str) -> str:
    return '-' if value is None else format(value, form)


def table(rows: list[dict[str, Any]], first: str) -> str:
    """The rows as Markdown; ``first`` names the column of the cases."""
    lines = [[first, *(name for name, _ in COLUMNS)], ['---'] * (len(COLUMNS) + 1)]
    lines += [[row['case'], *(show(row) for _, show in COLUMNS)] for row in rows]
    return ''.join('| ' + ' | '.join(line) + ' |\n' for line in lines)


def environment() -> dict[str, str]:
    """What the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    names = Path('/proc/cpuinfo')
    if names.exists():
        cpu = next((x.split(':')[1].strip() for x in names.read_text().splitlines() if x.startswith('model name')), cpu)
    device = torch.cuda.get_device_name() if on_gpu() else f'one thread of an {cpu}'
    return dict(torch=torch.__version__, device=device, cpu=cpu, threads='1', python=platform.python_version())


def arguments(description: str | None, seconds: float) -> Namespace:
    """Read the command line."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=seconds, help='time for each form of each row')
    parser.add_argument('--only', default='', help='run rows whose name matches this; nothing is written then')
    parser.add_argument('--update', action='store_true', help='with --only: replace these rows in what is written')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu', help='where the inputs of the rows are')
    parser.add_argument('--out', type=Path, default=Path(__file__).resolve().parent / 'results')
    return parser.parse_args()


def run(cases: Callable[[], Iterable[Case]], args: Namespace, *, name: str, title: str, first: str, note: str) -> None:
    """Measure all cases, print the table and write it: ``<name>.md`` and ``.json``, on a GPU ``<name>_cuda``."""
    torch.set_num_threads(1)
    time_on(args.device)
    torch.set_default_device(args.device)
    torch.manual_seed(0)
    name = f'{name}_cuda' if on_gpu() else name
    record = args.out / f'{name}.json'
    kept = json.loads(record.read_text(encoding='utf-8'))['rows'] if args.update else []
    measured = {(row['case'], row['reference']): row for row in kept}
    rows = []
    for case in cases():
        key = (case.name, case.reference)
        if re.search(args.only, case.name):
            try:
                measured[key] = compare(case, args.seconds)
            except (RuntimeError, TypeError) as error:
                if not on_gpu():
                    raise
                # A package to compare with may have no form for a GPU.
                print(f'{case.name}: left out, {error}', file=sys.stderr, flush=True)
                continue
            print(f'{case.name}: {_or_dash(measured[key].get("ratio"), ".1f")} times', file=sys.stderr, flush=True)
        if key in measured:
            rows.append(measured.pop(key))
    # Rows of cases that this machine does not have, such as those of packages that are not installed.
    rows += measured.values()
    print(table(rows, first))
    if args.only and not args.update:
        return
    command = f'python benchmarks/{name.removesuffix("_cuda")}.py --seconds {args.seconds:g}'
    command += ' --device cuda' if on_gpu() else ''
    content = dict(command=command, environment=environment(), rows=rows)
    write_results(args.out / name, content, _head(title, command, note) + table(rows, first))


def write_results(out: Path, content: object, text: str) -> None:
    """Write ``out.json`` and ``out.md``."""
    out.parent.mkdir(parents=True, exist_ok=True)
    for suffix, written in (('.json', json.dumps(content, indent=1) + '\n'), ('.md', text)):
        with atomic_path(out.with_name(out.name + suffix)) as temporary:
            temporary.write_text(written, encoding='utf-8')


def _head(title: str, command: str, note: str) -> str:
    """What the table shows and how it was measured."""
    setting = environment()
    measure = (
        'median time until the GPU is done, launches of kernels included, of the two in turn'
        if on_gpu()
        else 'median processor time of the two in turn (short ones several times a turn)'
    )
    return (
        f'# {title}{", on a GPU" if on_gpu() else ""}\n\nOurs, measured with `{command}`: torch {setting["torch"]}, '
        f'{setting["device"]}, {measure}, peak of the memory PyTorch allocated in forward and backward pass. {note} '
        '"Copy or sort" is the time of a plain copy of as many bytes as forward and backward pass read and write at '
        'least (inputs, results and gradients), or of `torch.sort` for the forms that sort. Results and gradients are '
        'compared, relative to the largest.\n\n'
    )
