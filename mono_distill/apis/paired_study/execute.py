"""One run of a study, in this process; and the data it is trained on."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mono_distill.apis import launch
from mono_distill.apis.paired_study.configs import config_of
from mono_distill.apis.paired_study.study import WORK, Study
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.apis.synth_bench.schedule import finished
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import CheckpointError, ConfigError, DataError, did_you_mean

# Scalars of mmengine's log that say nothing about what was learned.
_TIMES = ('time', 'data_time', 'memory', 'lr', 'base_lr', 'momentum', 'base_momentum', 'epoch', 'iter')


def make_data(study: Study, folders: Folders, *, say: Callable[[str], None]) -> None:
    """Make the data of a study; what was made before is kept.

    Raises:
        DataError: A command failed, or the folder holds the data of another study.
    """
    record = folders.work / 'data.json'
    done = json.loads(record.read_text()) if record.is_file() else []
    commands = list(study.data)
    if done != commands[: len(done)]:
        raise DataError(
            f'{folders.work} holds data made by {done}, the study wants {commands}; use another work folder'
        )
    for command in commands[len(done) :]:
        words = [word.replace(WORK, str(folders.work)) for word in shlex.split(command)]
        call = [sys.executable, '-m', 'mono_distill.cli.main', *words]
        say(f'mono-distill {shlex.join(call[3:])}')
        status = subprocess.run(call, check=False).returncode
        if status:
            raise DataError(f'mono-distill {shlex.join(call[3:])} failed with status {status}')
        done.append(command)
        with atomic_path(record) as temporary:
            temporary.write_text(json.dumps(done, indent=1) + '\n')


def execute(run: Run, study: Study, folders: Folders) -> dict[str, Any]:
    """Train and test one run and write its result.

    Returns:
        The result, as written to ``result.json`` in the folder of the run: test scores, means of the last logged
        losses, seconds.

    Raises:
        CheckpointError: A run that this one starts from is not finished, or is of another state of the study's file.
        ConfigError: The test gives none of a metric's name.
    """
    for needed in study.needs(run):
        if finished(needed, study, folders) is None:
            raise CheckpointError(f'{run.id} starts from {needed.id}, which is not finished; run that first')
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    began, cpu = time.perf_counter(), time.process_time()
    config = config_of(run, study, folders)
    folder = folders.run(run)
    folder.mkdir(parents=True, exist_ok=True)
    # What a user gives to `mono-distill train` to have this run alone.
    config.dump(str(folder / 'config.py'))
    # One process may execute several runs (tests do): mmengine keeps runners by name.
    config.experiment_name = f'{run.arm}-{os.getpid()}-{time.monotonic_ns()}'
    runner = launch.build_runner(config)
    scalars = _LastScalars()
    runner.register_hook(scalars, priority='LOWEST')
    runner.train()
    trained = time.process_time() - cpu
    with atomic_path(folders.checkpoint(run)) as temporary:
        torch.save({'state_dict': runner.model.state_dict(), 'meta': {}}, temporary)
    scores = {key: float(value) for key, value in runner.test().items()}
    for label, key in study.metrics.items():
        if key not in scores:
            raise ConfigError(f'{run.id}: metrics[{label!r}]: the test gives no {key!r}; {did_you_mean(key, scores)}')
    for checkpoint in folder.glob('epoch_*.pth'):
        checkpoint.unlink()
    result = {
        'training': run.arm,
        'seed': run.seed,
        'fingerprint': study.fingerprint(run),
        'steps': runner.iter,
        'test': scores,
        'scalars': scalars.values,
        'seconds': round(time.perf_counter() - began, 1),
        'cpu_seconds': round(time.process_time() - cpu, 1),
        'train_cpu_seconds': round(trained, 1),
        'torch': torch.__version__,
        'machine': platform.machine(),
    }
    with atomic_path(folders.result(run)) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + '\n')
    return result


class _LastScalars(Hook):
    """Keeps the means of the logged scalars over the end of the training."""

    def __init__(self, window: int = 50) -> None:
        self.window = window
        self.values: dict[str, float] = {}

    def after_train_epoch(self, runner: Runner) -> None:
        """Keep them as they are now."""
        self.values = {
            key.removeprefix('train/'): round(float(buffer.mean(self.window)), 5)
            for key, buffer in runner.message_hub.log_scalars.items()
            if key.startswith('train/') and key.removeprefix('train/') not in _TIMES
        }
