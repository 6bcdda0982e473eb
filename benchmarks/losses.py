"""Time and memory of the distillation losses at KITTI size against straightforward forms of the same formulas.

    python benchmarks/losses.py [--batch 4] [--repeats 7] [--only NAME]

Inputs are those of DLA-34 at 384 x 1280: student and rectified teacher features of 64, 128, 256 and 512 channels at
strides 4 to 32, ten objects per image. A row is one forward and backward pass (masks: forward) on one thread of the
CPU: median processor time of both forms taken in turn, and the peak of the memory that PyTorch allocated (buffers of
NumPy and numba not counted). The results of both forms are compared first. The package torchsort, the usual
implementation of soft ranks, is compared with where it can be imported.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parent))
import reference_losses as reference

from mono_distill import losses, ops

STRIDES = (4, 8, 16, 32)
CHANNELS = (64, 128, 256, 512)
IMAGE = (384, 1280)
NUMBERS = 245760  # of an image at the coarsest level: 512 x 12 x 40
DTYPES = (torch.float32, torch.float64)


class Inputs:
    """Random features, head outputs and objects of one batch."""

    def __init__(self, batch: int) -> None:
        torch.manual_seed(0)
        sizes = [(IMAGE[0] // s, IMAGE[1] // s) for s in STRIDES]
        self.student = [
            torch.randn(batch, c, *size, requires_grad=True) for c, size in zip(CHANNELS, sizes, strict=True)
        ]
        self.teacher = [torch.randn(batch, c, *size).relu() for c, size in zip(CHANNELS, sizes, strict=True)]
        outputs = dict(offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
        self.student_head = {k: torch.randn(batch, c, *sizes[0], requires_grad=True) for k, c in outputs.items()}
        self.teacher_head = {k: torch.randn(batch, c, *sizes[0]) for k, c in outputs.items()}
        corner = torch.rand(batch, 10, 2) * torch.tensor([1000.0, 250.0])
        boxes = torch.cat([corner, corner + 20 + torch.rand(batch, 10, 2) * torch.tensor([200.0, 100.0])], 2)
        centre = ((boxes[..., :2] + boxes[..., 2:]) / 8).long()
        self.targets = dict(
            bboxes=boxes,
            indices=centre[..., 1] * sizes[0][1] + centre[..., 0],
            mask_2d=torch.ones(batch, 10, dtype=torch.bool),
            heading_bin=torch.randint(12, (batch, 10)),
        )
        self.weights = torch.rand(batch, 10)
        self.log_scale = torch.randn(batch, 10)
        self.rows = [torch.randn(batch, NUMBERS, dtype=dtype, requires_grad=True) for dtype in DTYPES]
        self.cotangents = [torch.randn(batch, NUMBERS, dtype=dtype) for dtype in DTYPES]

    def leaves(self) -> list[Tensor]:
        """Everything that receives a gradient."""
        return [*self.student, *self.student_head.values(), *self.rows]


Form = Callable[[], Tensor]


def rankings(x: Inputs) -> Iterator[tuple[str, Form | None, Form]]:
    """Yield name, straightforward form and ours of the soft and hard ranks; ``None`` for a package that is missing."""
    for rows, cotangent in zip(x.rows, x.cotangents, strict=True):
        shape = f'{rows.shape[0]} x {NUMBERS} {str(rows.dtype).removeprefix("torch.")}'
        for label, eps in [('linear, eps 1', 1.0), ('eps 2 sigma / n', 2 / NUMBERS)]:

            def ours(rows=rows, cotangent=cotangent, eps=eps):
                return ops.soft_rank(rows, eps).mul(cotangent).sum()

            def walk(rows=rows, cotangent=cotangent, eps=eps):
                return reference.SequentialSoftRank.apply(rows, eps, reference.walk).mul(cotangent).sum()

            def torchsort(rows=rows, cotangent=cotangent, eps=eps):
                return reference.torchsort.soft_rank(rows, regularization_strength=eps).mul(cotangent).sum()

            yield f'soft rank {shape}, {label}', walk, ours
            yield f'soft rank {shape}, {label}, torchsort', torchsort if reference.torchsort else None, ours
        yield (
            f'hard rank {shape}, ties averaged',
            lambda rows=rows: reference.average_ranks(rows.detach()).sum(),
            lambda rows=rows: ops.average_ranks(rows.detach()).sum(),
        )


def comparisons(x: Inputs) -> Iterator[tuple[str, Form | None, Form]]:
    """Yield name, straightforward form and ours."""
    s, t, sh, th, targets = x.student, x.teacher, x.student_head, x.teacher_head, x.targets
    valid, size, strides = targets['mask_2d'], (IMAGE[0] // 4, IMAGE[1] // 4), STRIDES
    yield from rankings(x)
    yield (
        'Spearman, released (teacher soft-ranked, eps 1)',
        lambda: reference.spearman_one_sided(s, t, 'teacher'),
        lambda: losses.spearman_loss(s, t, form='released'),
    )
    yield (
        'Spearman, student soft-ranked, eps 1',
        lambda: reference.spearman_one_sided(s, t, 'student'),
        lambda: losses.spearman_loss(s, t, form='soft_rank_student'),
    )
    yield (
        'Spearman, both sides ranked (default)',
        lambda: reference.spearman_two_sided(s, t, 2.0),
        lambda: losses.spearman_loss(s, t),
    )
    yield 'scene affinity', lambda: reference.affinity(s, t), lambda: losses.scene_affinity_loss(s, t)
    yield (
        'foreground L2',
        lambda: reference.foreground(s, t, targets['bboxes'], strides),
        lambda: losses.foreground_l2_loss(s, t, targets, strides=strides),
    )
    yield (
        'MonoDLE response',
        lambda: reference.response(sh, th, targets),
        lambda: losses.monodle_response_loss(sh, th, targets),
    )
    for levels in (strides, strides[1:]):
        yield (
            f'box masks, {len(levels)} levels',
            lambda levels=levels: _maps(reference.box_mask, levels, targets['bboxes']),
            lambda levels=levels: _maps(ops.box_masks, levels, targets['bboxes']),
        )
    yield (
        'DASFD weight maps, 3 levels',
        lambda: _maps(reference.box_weight_maps, strides[1:], targets['bboxes'], x.weights, targets['indices']),
        lambda: _maps(ops.box_weight_maps, strides[1:], targets['bboxes'], x.weights),
    )
    yield (
        'Gaussian squares, stride 4',
        lambda: reference.gaussian_mask(targets['bboxes'], size, 4),
        lambda: ops.gaussian_square_masks(targets['bboxes'], valid, size, stride=4),
    )
    for name, straight, ours in (
        ('DASFD, 3 levels', reference.selective_feature, losses.selective_feature_loss),
        ('DASRD, 3 levels, 40 objects', reference.selective_relation, losses.selective_relation_loss),
    ):
        yield (
            name,
            lambda straight=straight: straight(s[1:], t[1:], x.log_scale, targets, strides[1:]),
            lambda ours=ours: ours(s[1:], t[1:], x.log_scale, targets, strides=strides[1:]),
        )


def _maps(function: Callable[..., Any], strides: Sequence[int], *arguments: Tensor) -> Tensor:
    found = [function(*arguments, (IMAGE[0] // stride, IMAGE[1] // stride), stride=stride) for stride in strides]
    maps = [values for level in found for values in (level if isinstance(level, tuple) else (level,))]
    return torch.cat([values.flatten() for values in maps])


def run(function: Callable[[], Tensor]) -> Tensor:
    """One pass, backward too if there is a gradient."""
    result = function()
    if result.requires_grad:
        result.backward()
    return result.detach()


def seconds(forms: list[Form], x: Inputs, repeats: int) -> list[float]:
    """Median processor time of one pass of each form, taken in turn so that a change of load meets all."""
    times: list[list[float]] = [[] for _ in forms]
    for _ in range(repeats):
        for form, series in zip(forms, times, strict=True):
            _forget(x.leaves())
            begin = time.process_time()
            run(form)
            series.append(time.process_time() - begin)
    return [statistics.median(series) for series in times]


def mebibytes(form: Form, x: Inputs) -> float:
    """Peak of the memory of one pass."""
    _forget(x.leaves())
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorder:
        run(form)
    events = [event for event in recorder.profiler.kineto_results.events() if event.name() == '[memory]']
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(changes)) / 2**20


def _forget(leaves: list[Tensor]) -> None:
    for leaf in leaves:
        leaf.grad = None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--repeats', type=int, default=7)
    parser.add_argument('--only', default='', help='run rows whose name contains this')
    args = parser.parse_args()
    torch.set_num_threads(1)
    x = Inputs(args.batch)
    print(
        '| term | straightforward, ms | ours, ms | time ratio | straightforward, MiB | ours, MiB | results differ by |'
    )
    print('|---|---|---|---|---|---|---|')
    for name, theirs, ours in comparisons(x):
        if args.only in name:
            print(row(name, theirs, ours, x, args.repeats), flush=True)


def row(name: str, theirs: Form | None, ours: Form, x: Inputs, repeats: int) -> str:
    """One line of the table."""
    actual = run(ours).double()
    if theirs is None:
        (fast,) = seconds([ours], x, repeats)
        return f'| {name} | not installed | {fast * 1e3:.1f} | - | - | {mebibytes(ours, x):.0f} | - |'
    expected = run(theirs).double()
    difference = ((actual - expected).abs() / expected.abs().clamp(min=1e-12)).max().item()
    slow, fast = seconds([theirs, ours], x, repeats)
    return (
        f'| {name} | {slow * 1e3:.1f} | {fast * 1e3:.1f} | {slow / fast:.1f} | {mebibytes(theirs, x):.0f} '
        f'| {mebibytes(ours, x):.0f} | {difference:.0e} |'
    )


if __name__ == '__main__':
    main()
