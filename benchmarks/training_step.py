"""How the benchmarks of training steps compare a model with the straightforward form of its official code."""

from __future__ import annotations

import copy
import functools
import logging
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

import mono_distill  # noqa: F401  (before mmdet3d)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import Cost, environment, measure, one_pass, write_results
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

HERE = Path(__file__).resolve().parent
STUDENTS = HERE.parent / 'configs' / 'students'
CHECKED_SIZE = (96, 320)


@dataclass(frozen=True)
class Setting:
    """One row of a benchmark.

    Attributes:
        name: What is trained.
        config: File under ``configs/students``.
        batch: Images.
        size: Height and width of the images.
    """

    name: str
    config: str
    batch: int
    size: tuple[int, int]

    @property
    def case(self) -> str:
        """Name and shapes."""
        return f'{self.name}, {self.batch} x 3 x {self.size[0]} x {self.size[1]}'


@dataclass(frozen=True)
class Subject:
    """What is compared.

    Attributes:
        title: Name of the model.
        script: Name of the benchmark's file.
        plain_form: Makes the straightforward form of a detector, with the same parameters.
        samples: Makes annotated samples: images, objects of each, size.
        prepare: Changes the detector after it was initialised.
        note: What the report adds.
        bfloat16: Whether ours is measured a second time as ``BFloat16OptimWrapper`` runs it.
    """

    title: str
    script: str
    plain_form: Callable[[nn.Module], nn.Module]
    samples: Callable[[int, int, tuple[int, int]], list[Any]]
    prepare: Callable[[nn.Module], None] = lambda detector: None
    note: str = ''
    bfloat16: bool = False


def build_detector(config: str, subject: Subject) -> nn.Module:
    """The model of a config with random weights, in training mode."""
    init_default_scope('mmdet3d')
    logging.disable(logging.INFO)
    model = Config.fromfile(STUDENTS / config).model
    if 'pretrained' in model.backbone:
        model.backbone.pretrained = None
    detector = MODELS.build(model)
    detector.init_weights()
    subject.prepare(detector)
    return detector.train()


def difference(detector: nn.Module, subject: Subject, objects: int) -> float:
    """How far losses and gradients of both forms are apart, relative to the largest, without dropout."""
    ours = copy.deepcopy(detector).double()
    for module in ours.modules():
        if hasattr(module, 'dropout') and isinstance(module.dropout, float):
            module.dropout = 0.0
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images, samples = torch.randn(1, 3, *CHECKED_SIZE).double(), subject.samples(1, objects, CHECKED_SIZE)
    results = [
        one_pass(lambda form=form: total(form, images, samples), leaves(ours), None)[0]
        for form in (subject.plain_form(ours), ours)
    ]
    # The biases of attention's keys have no influence; their gradients are nothing but rounding.
    gaps = [(a - b).abs().max() / b.abs().max().clamp(min=1e-9) for a, b in zip(*results, strict=True)]
    return max(gaps).item()


def leaves(detector: nn.Module) -> list[torch.Tensor]:
    """What gets a gradient."""
    return [parameter for parameter in detector.parameters() if parameter.requires_grad]


def total(form: nn.Module, images: torch.Tensor, samples: list[Any]) -> torch.Tensor:
    """The sum of all losses."""
    return sum(form.loss(dict(imgs=images), samples).values())


def measure_setting(setting: Setting, subject: Subject, objects: int, seconds: float) -> dict[str, Any]:
    """Compare both forms, then measure them in turn."""
    torch.manual_seed(0)
    detector = build_detector(setting.config, subject)
    gap = difference(detector, subject, objects)
    images, samples = (
        torch.randn(setting.batch, 3, *setting.size),
        subject.samples(setting.batch, objects, setting.size),
    )
    forms = [functools.partial(total, form, images, samples) for form in (subject.plain_form(detector), detector)]
    names = ['straightforward', 'ours']
    if subject.bfloat16:
        forms.append(functools.partial(in_bfloat16, forms[1]))
        names.append('ours, bfloat16')
    costs = measure(forms, leaves(detector), None, seconds)
    return dict(
        case=setting.case,
        objects=objects,
        forms={name: asdict(cost) for name, cost in zip(names, costs, strict=True)},
        ratios={name: ratios(costs[0], cost) for name, cost in zip(names[1:], costs[1:], strict=True)},
        difference=gap,
    )


def in_bfloat16(step: Callable[[], torch.Tensor]) -> torch.Tensor:
    """The losses under autocast; weights, gradients and the losses themselves stay in single precision."""
    with torch.autocast('cpu', dtype=torch.bfloat16):
        return step()


def ratios(plain: Cost, ours: Cost) -> dict[str, float]:
    """How many times less ours takes."""
    return dict(
        forward=plain.forward_ms / ours.forward_ms,
        backward=plain.backward_ms / ours.backward_ms,
        step=plain.step_ms / ours.step_ms,
        memory=plain.mib / ours.mib,
    )


def report(rows: list[dict[str, Any]], subject: Subject) -> str:
    """The results as Markdown."""
    setting = environment()
    lines = ['| case | form | forward, ms | backward, ms | step, ms | MiB |', '| --- | --- | --- | --- | --- | --- |']
    for row in rows:
        for name, cost in row['forms'].items():
            step = cost['forward_ms'] + cost['backward_ms']
            times = ' | '.join(f'{value:.0f}' for value in (cost['forward_ms'], cost['backward_ms'], step, cost['mib']))
            lines.append(f'| {row["case"]} | {name} | {times} |')
        for name, times in row['ratios'].items():
            factors = ' | '.join(f'{value:.2f}' for value in times.values())
            lines.append(f'| | {name}: times | {factors} |')
    worst = max(row['difference'] for row in rows)
    head = (
        f'# A training step of {subject.title}\n\nMeasured with `python benchmarks/{subject.script}.py`: '
        f'{rows[0]["objects"]} objects an image, torch {setting["torch"]}, one thread of an {setting["cpu"]}, median '
        'processor time of the two in turn, peak of the memory PyTorch allocated; no optimizer. The straightforward '
        f'form is described in `benchmarks/reference_{subject.script.removesuffix("_step")}.py`. Losses and gradients '
        f'of both differ by {worst:.0e} of the largest in double precision. {subject.note}Not measured on a GPU.\n\n'
    )
    return head + '\n'.join(lines) + '\n'


def main(description: str | None, settings: list[Setting], subject: Subject) -> None:
    """Run all settings and write ``<script>.md`` and ``<script>.json``."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('--objects', type=int, default=8, help='objects of an image')
    parser.add_argument('--seconds', type=float, default=10.0, help='time for each form of each row')
    parser.add_argument('--out', type=Path, default=HERE / 'results')
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for setting in settings:
        rows.append(measure_setting(setting, subject, args.objects, args.seconds))
        print(f'{setting.case}: {rows[-1]["ratios"]["ours"]["step"]:.2f} times', file=sys.stderr, flush=True)
    text = report(rows, subject)
    print(text)
    write_results(args.out / subject.script, dict(environment=environment(), rows=rows), text)
