"""What MonoSKD costs beside the student's own training step, at the published size.

    python benchmarks/kd_branch.py [--batch 4] [--repeats 3] [--config mono_distill::monoskd_monodle_kitti.py]
                                   [--device cuda [--amp]]

Frames of the embedded world at KITTI's full size go through the pipeline and the model of the config (random weights;
the time does not depend on them). Measured are processor seconds of one thread, on a GPU seconds until it is done; the
median over the repeats:

* the student's own step: forward, its losses, backward;
* the teacher's forward;
* the adapters, forward and backward;
* every distillation loss, forward and backward, on the tensors that it is given in the training step.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))
from comparison import environment, now, time_on, write_results

from mono_distill.apis.launch import load_config
from mono_distill.datasets.kitti.frame import FrameOptions
from mono_distill.datasets.kitti.layout import KittiFolder, open_output
from mono_distill.datasets.kitti.prepare import prepare_kitti
from mono_distill.registry import MODELS
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.kitti.writer import write_kitti

RESULTS = Path(__file__).resolve().parent / 'results'


def one_batch(config: Config, folder: Path, batch: int) -> dict[str, Any]:
    """Write frames, and return the first training batch of the config's pipeline."""
    write_kitti(KittiOptions(out=folder, frames=2 * batch, seed=0, val_share=0.5))
    layout = KittiFolder(folder)
    prepare_kitti(FrameOptions(source=layout, output=open_output(layout, None)))
    loader = config.train_dataloader
    loader.update(batch_size=batch, num_workers=0, persistent_workers=False)
    dataset = loader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.update(data_root=str(folder), ann_file='kitti_infos_trainval.pkl')
    return next(iter(Runner.build_dataloader(loader, seed=0)))


def capture(model: Any, data: dict[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Run one step and keep what every adapter and loss was called with."""
    calls: dict[str, tuple[Any, dict[str, Any]]] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, args, kwargs: calls.update({name: (args, kwargs)})

    parts = {**model.graph.adapters, **model.graph.losses}
    hooks = [part.register_forward_pre_hook(keep(name), with_kwargs=True) for name, part in parts.items()]
    model(**data, mode='loss')
    for hook in hooks:
        hook.remove()
    return calls


def leaves(value: Any, trained: bool) -> Any:
    """Copy tensors out of their graph; those of the student ask for gradients."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(trained and value.is_floating_point())
    if isinstance(value, Mapping):
        return {key: leaves(item, trained) for key, item in value.items()}
    return [leaves(item, trained) for item in value] if isinstance(value, list | tuple) else value


def pass_of(module: Any, args: Any, kwargs: dict[str, Any]) -> Callable[[], None]:
    """Return forward and backward of a part on its own copies."""
    args = [leaves(value, trained=True) for value in args]
    kwargs = {key: leaves(value, trained=key == 'student') for key, value in kwargs.items()}

    def run() -> None:
        result = module(*args, **kwargs)
        outputs = [result] if isinstance(result, Tensor) else list(result)
        torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])

    return run


def seconds(run: Callable[[], None], repeats: int) -> float:
    """Median seconds, after two runs that are not counted."""
    times = []
    for _ in range(repeats + 2):
        begin = now()
        run()
        times.append(now() - begin)
    return statistics.median(times[2:])


def own_step(model: Any, data: dict[str, Any]) -> Callable[[], None]:
    """Return the training step of the student alone, without the optimizer."""

    def run() -> None:
        model.student.zero_grad()
        losses = model.student(data['inputs'], data['data_samples'], mode='loss')
        model.student.parse_losses(losses)[0].backward()

    return run


def measure(config: Config, batch: int, repeats: int, device: str) -> dict[str, float]:
    """Return seconds by part."""
    init_default_scope('mmdet3d')
    for teacher in config.model.teachers.values():
        teacher.update(checkpoint=None, allow_random=True)
    model = MODELS.build(config.model).train()
    with tempfile.TemporaryDirectory() as folder:
        raw = one_batch(config, Path(folder) / 'kitti', batch)
    model.bank.load()
    time_on(device)
    model.to(device)
    data = model.data_preprocessor(raw, True)
    calls = capture(model, data)
    table = {
        'student: its own step': seconds(own_step(model, data), repeats),
        'teacher: forward': seconds(lambda: model.bank.run(data['teacher_inputs']), repeats),
    }
    for kind in ('adapters', 'losses'):
        for name, part in getattr(model.graph, kind).items():
            table[f'{kind}: {name}'] = seconds(pass_of(part, *calls[name]), repeats)
    return table


def page(table: Mapping[str, float], command: str, args: argparse.Namespace) -> str:
    """Return the results as Markdown."""
    own = table['student: its own step']
    losses = sum(value for name, value in table.items() if name.startswith('losses'))
    setting = environment()
    clock = 'median time until the GPU is done' if args.device == 'cuda' else 'median processor time'
    head = (
        f'Ours, measured with `{command}`: torch {setting["torch"]}, {setting["device"]}, DLA-34 at 384 x 1280'
        f'{", bfloat16 autocast" if args.amp else ""}, {args.batch} images of the embedded world, forward and '
        f'backward, {clock}.'
    )
    title = '# The distillation branch of MonoSKD beside the step of its student'
    lines = [title, '', head, '', "| part | milliseconds | share of the student's own step |", '|---|---|---|']
    lines += [f'| {name} | {1e3 * value:.1f} | {100 * value / own:.1f} % |' for name, value in table.items()]
    lines.append(f'| **all losses together** | {1e3 * losses:.1f} | **{100 * losses / own:.1f} %** |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--config', default='mono_distill::monoskd_monodle_kitti.py')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--amp', action='store_true', help='bfloat16 autocast')
    parser.add_argument('--out', type=Path, default=RESULTS, help='folder for the table')
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.amp):
        table = measure(load_config(args.config), args.batch, args.repeats, args.device)
    command = f'python benchmarks/kd_branch.py --batch {args.batch} --repeats {args.repeats}'
    command += f' --device {args.device}' * (args.device != 'cpu') + ' --amp' * args.amp
    name = 'kd_branch' + '_cuda' * (args.device == 'cuda') + '_amp' * args.amp
    text = page(table, command, args)
    write_results(args.out / name, {'command': command, 'seconds': table}, text)
    print(text)


if __name__ == '__main__':
    main()
