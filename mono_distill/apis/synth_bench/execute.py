"""One run of the plan, in this process."""

from __future__ import annotations

import json
import os
import pickle
import platform
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mono_distill.apis import launch
from mono_distill.apis.synth_bench.configs import PSEUDO_INFOS, Folders, config_of
from mono_distill.apis.synth_bench.plan import PRIMARY, PSEUDO, SHUFFLED, UNTRAINED, Plan, Run
from mono_distill.apis.synth_bench.poor_teachers import write_shuffled_infos
from mono_distill.apis.synth_bench.pseudo_labels import pseudo_infos
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import CheckpointError

# Measured points of a run: the moderate scores of cars and, at the end, everything the metric gives.
_CURVE = tuple(
    f'KITTI/Car_{metric}_AP40_moderate_{overlap}' for metric in ('3D', 'BEV') for overlap in ('loose', 'strict')
)


def execute(run: Run, plan: Plan, folders: Folders, *, test: bool = True) -> dict[str, Any]:
    """Train, validate and test one run and write its result.

    Args:
        run: Which.
        plan: The plan it belongs to.
        folders: Where its data and the runs it needs are.
        test: Whether the test split is evaluated; pilots for the choice of settings leave it alone.

    Returns:
        The result, as written to ``result.json`` in the folder of the run.

    Raises:
        CheckpointError: A run that this one starts from is not finished.
    """
    for needed in plan.needs(run):
        if not folders.result(needed).is_file():
            raise CheckpointError(f'{run.id} starts from {needed.id}, which is not finished; run that first')
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    began, cpu = time.perf_counter(), time.process_time()
    body = _body(run, plan, folders, test)
    result = {
        'setting': run.setting,
        'arm': run.arm,
        'seed': run.seed,
        'fingerprint': plan.fingerprint(run),
        **body,
        'seconds': round(time.perf_counter() - began, 1),
        'cpu_seconds': round(time.process_time() - cpu, 1),
        'torch': torch.__version__,
        'machine': platform.machine(),
    }
    with atomic_path(folders.result(run)) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + '\n')
    return result


def _body(run: Run, plan: Plan, folders: Folders, test: bool) -> dict[str, Any]:
    if run.arm == PSEUDO:
        return _write_pseudo_labels(run, plan, folders)
    if run.arm == UNTRAINED:
        return _write_untrained(run, plan, folders)
    if run.arm == SHUFFLED:
        write_shuffled_infos(folders.data(plan.settings[run.setting].world) / 'train' / 'kitti_infos_train.pkl')
    return _train(run, plan, folders, test)


class _Curve(Hook):
    """Collects the validation scores and the training losses of a run."""

    def __init__(self) -> None:
        self.points: list[dict[str, float]] = []
        self.losses: dict[str, float] = {}

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Keep the scores of this validation."""
        scores = {key: round(float(metrics[key]), 4) for key in _CURVE if metrics and key in metrics}
        self.points.append({'step': runner.iter, **scores})

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep the losses at the end of the epoch (means over the log's window)."""
        scalars = runner.message_hub.log_scalars
        self.losses = {
            key.removeprefix('train/'): round(float(buffer.mean(50)), 5)
            for key, buffer in scalars.items()
            if 'loss' in key or key.startswith('train/kd')
        }


def _train(run: Run, plan: Plan, folders: Folders, test: bool) -> dict[str, Any]:
    config = config_of(run, plan, folders)
    folder = folders.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    # What a user gives to `mono-distill train` to have this run alone.
    config.dump(str(folder / 'config.py'))
    runner = _runner(config)
    curve = _Curve()
    runner.register_hook(curve, priority='LOWEST')
    runner.train()
    with atomic_path(folders.checkpoint(run)) as temporary:
        torch.save({'state_dict': runner.model.state_dict(), 'meta': {}}, temporary)
    scores = {key: float(value) for key, value in runner.test().items()} if test else {}
    for checkpoint in folder.glob('epoch_*.pth'):
        checkpoint.unlink()
    return {'steps': runner.iter, 'val': curve.points, 'losses': curve.losses, 'test': scores}


def _write_untrained(run: Run, plan: Plan, folders: Folders) -> dict[str, Any]:
    runner = _runner(config_of(run, plan, folders))
    runner.model.init_weights()
    with atomic_path(folders.checkpoint(run)) as temporary:
        torch.save({'state_dict': runner.model.state_dict(), 'meta': {}}, temporary)
    return {'steps': 0, 'val': [], 'losses': {}, 'test': {}}


def _runner(config: Config) -> Runner:
    # One process may execute several runs (tests do): mmengine keeps runners by name.
    config.experiment_name = f'{Path(config.work_dir).parent.name}-{os.getpid()}-{time.monotonic_ns()}'
    return launch.build_runner(config)


def _write_pseudo_labels(run: Run, plan: Plan, folders: Folders) -> dict[str, Any]:
    """Let the teacher label the frames that have no labels."""
    setting = plan.settings[run.setting]
    (teacher,) = plan.needs(run)
    config = config_of(teacher, plan, folders)
    root = folders.data(setting.world) / 'train'
    labelled = int(setting.labelled or 0)
    loader = config.test_dataloader
    loader.dataset.update(data_root=str(root), ann_file='kitti_infos_train.pkl')
    loader.dataset.indices = list(range(labelled, setting.epoch_frames))
    config.work_dir = str(folders.run(run))
    config.load_from = str(folders.checkpoint(teacher))
    runner = _runner(config)
    runner.load_or_resume()
    infos, counts = pseudo_infos(runner.model, runner.build_dataloader(loader), root / 'kitti_infos_train.pkl')
    with atomic_path(root / PSEUDO_INFOS.format(setting=run.setting)) as temporary:
        temporary.write_bytes(pickle.dumps(infos))
    return {'steps': 0, 'val': [], 'losses': {}, 'test': {}, 'pseudo_labels': counts}


def primary_curve(result: dict[str, Any]) -> list[tuple[int, float]]:
    """Return (step, primary metric on the validation split) of a result."""
    return [(point['step'], point[PRIMARY]) for point in result['val'] if PRIMARY in point]
