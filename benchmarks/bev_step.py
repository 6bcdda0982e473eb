"""What the parts of a multi-view training step cost, and what a teacher and its losses add, at the published size.

    python benchmarks/bev_step.py [--batch 8] [--repeats 10] [--config mono_distill::stxd_bevdepth_nus.py]
                                  [--device cuda [--amp]]

Frames of the embedded nuScenes world go through the pipeline and the model of the config (random weights; the time does
not depend on them; the pictures are smaller than nuScenes' and are enlarged). Measured, after two runs that do not
count, is the median over the repeats, on the CPU processor time, on a GPU the time until it is done:

* the pipeline: one sample, loaded and augmented in this process;
* the student's own step: forward, its losses, backward;
* its parts: forward and backward of each with the inputs it gets in that step;
* the teacher's forward, its past clouds included; adapters, targets and losses of the distillation, with backward;
* the whole distillation step, for the sum of the parts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import environment, time_on, write_results
from kd_branch import leaves, own_step, seconds

from mono_distill.apis.launch import load_config, pin_batches
from mono_distill.datasets.nuscenes.prepare import prepare_nuscenes
from mono_distill.registry import MODELS
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.writer import write_nuscenes

RESULTS = Path(__file__).resolve().parent / 'results'
PARTS = ('img_backbone', 'img_neck', 'view_transformer', 'bev_backbone', 'bev_neck', 'pts_bbox_head')


def write_world(folder: Path) -> None:
    """Write a small data set with its infos."""
    write_nuscenes(NuScenesOptions(folder, scenes=2, keyframes=6, seed=4, image_scale=0.25))
    prepare_nuscenes(folder)


def one_batch(config: Config, batch: int) -> tuple[dict[str, Any], float]:
    """Return a training batch of the config's pipeline, and the seconds that a sample of it took."""
    loader = config.train_dataloader
    loader.update(batch_size=1, num_workers=0, persistent_workers=False)
    begin = time.process_time()
    samples = []
    for sample in Runner.build_dataloader(loader, seed=0):
        samples.append(sample)
        if len(samples) == batch:
            break
    took = (time.process_time() - begin) / len(samples)
    samples = [samples[index % len(samples)] for index in range(batch)]
    merged: dict[str, Any] = {'data_samples': [sample['data_samples'][0] for sample in samples], 'inputs': {}}
    for key, value in samples[0]['inputs'].items():
        if key == 'past_points':
            merged['inputs'][key] = [[s['inputs'][key][k][0] for s in samples] for k in range(len(value))]
        else:
            merged['inputs'][key] = [sample['inputs'][key][0] for sample in samples]
    return merged, took


def tensors_of(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of a nested value that have a graph."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors_of(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors_of(part)


def copied(value: Any) -> Any:
    """Copy tensors out of their graph, named tuples kept."""
    if isinstance(value, tuple) and hasattr(value, '_fields'):
        return type(value)(*(copied(part) for part in value))
    return leaves(value, trained=True) if not isinstance(value, tuple) else tuple(copied(part) for part in value)


def captured(model: Any, modules: Mapping[str, Any], run: Callable[[], Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Run once and keep what every module was called with."""
    calls: dict[str, tuple[Any, dict[str, Any]]] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, args, kwargs: calls.setdefault(name, (args, kwargs))

    hooks = [module.register_forward_pre_hook(keep(name), with_kwargs=True) for name, module in modules.items()]
    run()
    for hook in hooks:
        hook.remove()
    return calls


def pass_of(module: Any, args: Any, kwargs: dict[str, Any], *, backward: bool = True) -> Callable[[], None]:
    """Return forward and backward of a part on its own copies."""
    args = [copied(value) for value in args]
    kwargs = {key: copied(value) for key, value in kwargs.items()}

    def run() -> None:
        outputs = list(tensors_of(module(*args, **kwargs)))
        if backward and outputs:
            torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])

    return run


def whole_step(model: Any, data: dict[str, Any]) -> Callable[[], None]:
    """Return the training step of the distillation, without the optimizer."""

    def run() -> None:
        model.zero_grad()
        model.parse_losses(model(**data, mode='loss'))[0].backward()

    return run


def measure(config: Config, args: argparse.Namespace) -> dict[str, float]:
    """Return seconds by part."""
    init_default_scope('mmdet3d')
    for teacher in config.model.teachers.values():
        teacher.update(checkpoint=None, allow_random=True)
    model = MODELS.build(config.model).train()
    pin_batches(config)
    raw, took = one_batch(config, args.batch)
    model.bank.load()
    model.set_progress(1.0, 1000)
    model.to(args.device)
    time_on(args.device)
    data = model.data_preprocessor(raw, True)
    student = model.student
    table = {'pipeline: one sample': took, 'student: its own step': seconds(own_step(model, data), args.repeats)}
    table['student: preprocessor'] = seconds(lambda: model.data_preprocessor.student(raw, True), args.repeats)
    parts = {name: getattr(student, name) for name in PARTS}
    for name, call in captured(model, parts, own_step(model, data)).items():
        table[f'student: {name}'] = seconds(pass_of(parts[name], *call), args.repeats)
    table['teacher: preprocessor, with voxels'] = seconds(lambda: model.bank.preprocess(raw), args.repeats)
    table['teacher: forward'] = seconds(lambda: model.bank.run(data['teacher_inputs']), args.repeats)
    for kind in ('adapters', 'targets', 'losses'):
        nodes = dict(getattr(model.graph, kind).items())
        for name, call in captured(model, nodes, lambda: model(**data, mode='loss')).items():
            run = pass_of(nodes[name], *call, backward=kind != 'targets')
            table[f'{kind}: {name}'] = seconds(run, args.repeats)
    table['the whole step of the distillation'] = seconds(whole_step(model, data), args.repeats)
    return table


def page(table: Mapping[str, float], command: str, args: argparse.Namespace) -> str:
    """Return the results as Markdown."""
    own = table['student: its own step']
    extra = table['the whole step of the distillation'] - own
    clock = 'median time until the GPU is done' if args.device == 'cuda' else 'median processor time of one thread'
    setting = environment()
    head = (
        f'Ours, measured with `{command}`: torch {setting["torch"]}, {setting["device"]}'
        f'{", bfloat16 autocast" if args.amp else ""}, `{args.config.removeprefix("mono_distill::")}`, {args.batch} '
        f'samples of the embedded world{" in pinned memory" if args.device == "cuda" else ""}, forward and backward, '
        f'{clock}; the pipeline in processor time. Parts are timed alone and need not add up to the step.'
    )
    title = '# The parts of a multi-view training step, and what distillation adds'
    lines = [title, '', head, '', "| part | milliseconds | share of the student's own step |", '|---|---|---|']
    lines += [f'| {name} | {1e3 * value:.1f} | {100 * value / own:.1f} % |' for name, value in table.items()]
    sums = {
        'teacher and distillation together': extra,
        "with the teacher's preprocessor": extra + table['teacher: preprocessor, with voxels'],
    }
    lines += [f'| **{name}** | {1e3 * value:.1f} | **{100 * value / own:.1f} %** |' for name, value in sums.items()]
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--repeats', type=int, default=10)
    parser.add_argument('--config', default='mono_distill::stxd_bevdepth_nus.py')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--root', type=Path, help='a prepared nuScenes folder (default: the embedded world is written)')
    parser.add_argument('--out', type=Path, default=RESULTS, help='folder for the table')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ.setdefault('RESNET50_WEIGHTS', 'none')
    with tempfile.TemporaryDirectory() as folder:
        root = args.root or Path(folder) / 'nuscenes'
        if args.root is None:
            write_world(root)
        os.environ.update(NUSCENES_ROOT=str(root), NUSCENES_VERSION='v1.0-mini')
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.amp):
            table = measure(load_config(args.config), args)
    command = f'python benchmarks/bev_step.py --batch {args.batch} --repeats {args.repeats}'
    command += f' --device {args.device}' * (args.device != 'cpu') + ' --amp' * args.amp
    name = 'bev_step' + '_cuda' * (args.device == 'cuda') + '_amp' * args.amp
    text = page(table, command, args)
    write_results(args.out / name, {'command': command, 'seconds': table}, text)
    print(text)


if __name__ == '__main__':
    main()
