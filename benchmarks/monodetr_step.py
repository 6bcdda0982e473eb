"""Time and memory of a training step of MonoDETR against the straightforward form of the official code.

    python benchmarks/monodetr_step.py [--size 384x1280] [--batch 1] [--objects 8] [--seconds 10] [--out FOLDER]

The model of configs/students/monodetr_kitti.py with random weights, 550 queries and dropout, on noise with made-up
objects. The straightforward form (benchmarks/reference_monodetr.py) shares its weights. Both run on one thread of the
CPU and take turns: median processor time of forward pass with losses, and of the backward pass, and the peak of the
memory that PyTorch allocated. Before that losses and gradients of both are compared without dropout in double precision
on a small image; in single precision the slopes of bilinear samples jump where rounding puts them in another cell.
"""

from __future__ import annotations

import copy
import json
import logging
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

import mono_distill  # noqa: F401  (before mmdet3d)

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import environment, measure, one_pass
from mmdet3d.structures import CameraInstance3DBoxes, Det3DDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from reference_monodetr import plain_form

HERE = Path(__file__).resolve().parent
CONFIG = HERE.parent / 'configs' / 'students' / 'monodetr_kitti.py'
CHECKED_SIZE = (96, 320)


def build_detector():
    """The published model with random weights, in training mode."""
    init_default_scope('mmdet3d')
    logging.disable(logging.INFO)
    config = Config.fromfile(CONFIG).model
    config.backbone.pretrained = None
    detector = MODELS.build(config)
    detector.init_weights()
    for name, parameter in detector.named_parameters():
        if 'sampling_offsets.weight' in name:
            # Initial samples lie on the centres of cells, where the slope is not defined.
            torch.nn.init.normal_(parameter, std=0.05)
    return detector.train()


def made_up_samples(batch: int, objects: int, size: tuple[int, int]) -> list[Det3DDataSample]:
    """Samples with objects whose centres are the middles of their 2D boxes."""
    samples = []
    for _ in range(batch):
        centers = (torch.rand(objects, 2) * 0.8 + 0.1) * torch.tensor([size[1], size[0]])
        half = torch.rand(objects, 2) * 0.08 * size[1]
        sample = Det3DDataSample()
        sample.gt_instances_3d = InstanceData(
            bboxes_3d=CameraInstance3DBoxes(torch.rand(objects, 7) * 4 + 1),
            labels_3d=torch.randint(0, 3, (objects,)),
            bboxes=torch.cat([centers - half, centers + half], dim=1),
            centers_2d=centers,
            depths=torch.rand(objects) * 50 + 5,
        )
        camera = np.array([[721.5, 0, 609.6, 44.9], [0, 721.5, 172.9, 0.2], [0, 0, 1, 0.003]])
        sample.set_metainfo(dict(cam2img=camera, ori_cam2img=camera, ori_shape=size, img_shape=size))
        samples.append(sample)
    return samples


def difference(detector, objects: int) -> float:
    """How far losses and gradients of both forms are apart, relative to the largest."""
    ours = copy.deepcopy(detector).double()
    for module in ours.modules():
        if hasattr(module, 'dropout') and isinstance(module.dropout, float):
            module.dropout = 0.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    images, samples = torch.randn(1, 3, *CHECKED_SIZE).double(), made_up_samples(1, objects, CHECKED_SIZE)
    results = [one_pass(lambda form=form: total(form, images, samples), leaves(ours), None)[0] for form in forms(ours)]
    # The biases of attention's keys have no influence; their gradients are nothing but rounding.
    gaps = [(a - b).abs().max() / b.abs().max().clamp(min=1e-9) for a, b in zip(*results, strict=True)]
    return max(gaps).item()


def forms(detector) -> tuple:
    """The straightforward form and ours, with the same parameters."""
    return plain_form(detector), detector


def leaves(detector) -> list[torch.Tensor]:
    """What gets a gradient."""
    return [parameter for parameter in detector.parameters() if parameter.requires_grad]


def total(form, images, samples):
    """The sum of all losses."""
    return sum(form.loss(dict(imgs=images), samples).values())


def run(args: Namespace) -> dict:
    """Compare and measure both forms."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    detector = build_detector()
    gap = difference(detector, args.objects)
    size = tuple(int(side) for side in args.size.split('x'))
    images, samples = torch.randn(args.batch, 3, *size), made_up_samples(args.batch, args.objects, size)
    steps = [lambda form=form: total(form, images, samples) for form in forms(detector)]
    costs = measure(steps, leaves(detector), None, args.seconds)
    rows = {name: asdict(cost) for name, cost in zip(('straightforward', 'ours'), costs, strict=True)}
    ratios = dict(
        forward=costs[0].forward_ms / costs[1].forward_ms,
        backward=costs[0].backward_ms / costs[1].backward_ms,
        step=costs[0].step_ms / costs[1].step_ms,
        memory=costs[0].mib / costs[1].mib,
    )
    return dict(case=f'{args.batch} x {args.size}, {args.objects} objects', **rows, ratios=ratios, difference=gap)


def report(row: dict) -> str:
    """The result as Markdown."""
    setting = environment()
    lines = ['| form | forward, ms | backward, ms | step, ms | MiB |', '| --- | --- | --- | --- | --- |']
    for name in ('straightforward', 'ours'):
        cost = row[name]
        step = cost['forward_ms'] + cost['backward_ms']
        times = ' | '.join(f'{value:.0f}' for value in (cost['forward_ms'], cost['backward_ms'], step, cost['mib']))
        lines.append(f'| {name} | {times} |')
    ratios = ' | '.join(f'{row["ratios"][name]:.2f}' for name in ('forward', 'backward', 'step', 'memory'))
    lines.append(f'| times | {ratios} |')
    head = (
        f'# A training step of MonoDETR\n\nMeasured with `python benchmarks/monodetr_step.py`: {row["case"]}, torch '
        f'{setting["torch"]}, one thread of an {setting["cpu"]}, median processor time of the two in turn, peak of the '
        'memory PyTorch allocated. The straightforward form is described in `benchmarks/reference_monodetr.py`. Losses '
        f'and gradients of both differ by {row["difference"]:.0e} of the largest in double precision. Not measured on '
        'a GPU.\n\n'
    )
    return head + '\n'.join(lines) + '\n'


def main() -> None:
    """Run and write ``monodetr_step.md`` and ``monodetr_step.json``."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument('--size', default='384x1280', help='height and width of the images')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--objects', type=int, default=8, help='objects of an image')
    parser.add_argument('--seconds', type=float, default=10.0, help='time for each form')
    parser.add_argument('--out', type=Path, default=HERE / 'results')
    args = parser.parse_args()
    row = run(args)
    text = report(row)
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / 'monodetr_step.md').write_text(text, encoding='utf-8')
    content = dict(environment=environment(), row=row)
    (args.out / 'monodetr_step.json').write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
