"""From command-line options to a Runner: what ``tools/train.py`` and ``tools/test.py`` share."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.runner import Runner, find_latest_checkpoint

from mono_distill.apis.check_config import check_config
from mono_distill.compat.atomic_files import install_atomic_files
from mono_distill.compat.checkpoints import install_checkpoint_loader
from mono_distill.distillers.build import is_distiller, resolve_config, student_of
from mono_distill.distillers.weights import last_checkpoint
from mono_distill.utils.errors import CheckpointError, ConfigError


def load_config(path: str, options: Mapping[str, Any] | None = None, work_dir: str | None = None) -> Config:
    """Read and check a config.

    Args:
        path: A file, or ``package::path``.
        options: Overrides, as ``--cfg-options`` gives them.
        work_dir: Where to write; by default the config's, else ``work_dirs/<config name>``.

    Raises:
        ConfigError: The file is missing, an option of one of our types is unknown, or an override misspells a part of
            the config.
    """
    config = resolve_config(path)
    config.launcher = 'none'
    if options:
        known = config.to_dict()
        for name in options:
            _check_parents(known, name)
        config.merge_from_dict(dict(options))
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(path).stem)
    check_config(config)
    return config


def _check_parents(config: Mapping[str, Any], name: str) -> None:
    """Refuse ``train_cgf.max_epochs``: mmengine would make a new dictionary ``train_cgf``, which nothing reads."""
    node: Any = config
    before = ''
    for part in name.split('.')[:-1]:
        close = difflib.get_close_matches(part, node, n=1, cutoff=0.8) if isinstance(node, Mapping) else []
        if not close:
            # An index into a list, or a part that the option adds.
            return
        if close[0] != part:
            raise ConfigError(f"option {name}: the config has no '{before}{part}'; did you mean '{before}{close[0]}'?")
        node = node[part]
        before += f'{part}.'


def set_launcher(config: Config, launcher: str, local_rank: int | None) -> None:
    """Prepare the config and the process for a launcher.

    mmengine's own set-up for ``pytorch`` selects a CUDA device unconditionally. Where there is none, the process group
    is opened here with gloo, and DDP is told not to expect devices; so ``torchrun`` works on a CPU too.

    Args:
        config: Changed in place.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        local_rank: From the command line, for launchers that pass it there instead of in ``LOCAL_RANK``.
    """
    config.launcher = launcher
    if local_rank is not None:
        os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher != 'pytorch' or torch.cuda.is_available():
        return
    if 'RANK' not in os.environ:
        raise ConfigError('--launcher pytorch is for torchrun, which sets RANK; use tools/dist_train.sh CONFIG NUM')
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    config.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel',
        device_ids=None,
        broadcast_buffers=False,
        find_unused_parameters=config.get('find_unused_parameters', False),
    )


def set_amp(config: Config) -> None:
    """Switch the optimizer wrapper to automatic mixed precision.

    Raises:
        ConfigError: There is no GPU, or the config's wrapper is a custom one.
    """
    if not torch.cuda.is_available():
        raise ConfigError('--amp needs a CUDA device: mmengine scales gradients on the GPU only; leave it out on a CPU')
    kind = config.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ConfigError(f"--amp cannot change the optimizer wrapper '{kind}'; set its amp options in the config")
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def set_seed(config: Config, seed: int | None, deterministic: bool) -> None:
    """Set ``randomness``; options that are not given keep the config's values."""
    # The Runner wants a seed to be named, if only to be told that there is none; stock configs of mmdet3d name nothing.
    randomness = {'seed': None, **(config.get('randomness') or {})}
    if seed is not None:
        randomness['seed'] = seed
    if deterministic:
        randomness['deterministic'] = True
    config.randomness = randomness


def plain_student(config: Config) -> Config:
    """Return the config with a distiller replaced by its student, so that testing builds and loads no teacher."""
    if is_distiller(config.model):
        config.model = student_of(config.model)
        config.custom_hooks = [
            hook for hook in config.get('custom_hooks', []) if not str(hook['type']).endswith('TeacherCheckHook')
        ]
    return config


def set_test_options(config: Config, format_only: str | None, show_dir: str | None) -> None:
    """Apply what ``tools/test.py`` adds to a config.

    Args:
        config: Changed in place.
        format_only: Folder for submission files instead of an evaluation.
        show_dir: Folder for pictures of the predictions.

    Raises:
        ConfigError: Submission files are wanted of a config with several metrics.
    """
    if format_only is not None:
        if not isinstance(config.test_evaluator, dict):
            raise ConfigError('--format-only needs one test_evaluator that writes submission files, not a list')
        config.test_evaluator.update({'format_only': True, _folder_option(config.test_evaluator): format_only})
    if show_dir is not None:
        config.setdefault('custom_hooks', []).append(dict(type='mono_distill.PredictionPictureHook', out_dir=show_dir))


def _folder_option(metric: Mapping[str, Any]) -> str:
    """Return what a metric calls the folder of its submission files: nuScenes has one JSON file, KITTI many texts."""
    return 'jsonfile_prefix' if 'NuScenes' in str(metric.get('type')) else 'submission_prefix'


def set_resume(config: Config, checkpoint: str) -> None:
    """Continue a run.

    Args:
        config: Changed in place.
        checkpoint: A file, or ``'auto'`` for the last one in the work directory; without one there the run begins as
            if nothing had been said, with the config's ``load_from``.
    """
    if checkpoint == 'auto':
        checkpoint = find_latest_checkpoint(config.work_dir)
    if checkpoint is not None:
        config.resume, config.load_from = True, checkpoint


def resolve_load_from(config: Config) -> None:
    """Turn a work directory in ``load_from`` into its last checkpoint.

    Raises:
        CheckpointError: The file or folder does not exist, or the folder holds no checkpoint.
    """
    start = config.get('load_from')
    if not start or '://' in start:
        return
    path = Path(start)
    if not path.exists():
        raise CheckpointError(
            f'load_from: {start} does not exist. Train what it is named after first, or set load_from (on the command '
            'line: --cfg-options load_from=FILE; load_from=None starts from scratch)'
        )
    if path.is_dir():
        config.load_from = str(last_checkpoint(path))


def skip_pretrained(config: Config) -> None:
    """Drop ImageNet weights from a config that continues from a checkpoint, which would replace them anyway.

    mmengine initialises before it loads; without this a run on a machine that cannot reach the weights could be
    neither resumed nor tested.
    """
    if not config.get('load_from') and not (config.get('resume') and find_latest_checkpoint(config.work_dir)):
        return
    for detector in (config.model, config.model.get('student', {})):
        drop_pretrained(detector)


def drop_pretrained(detector: Mapping[str, Any]) -> None:
    """Take the weights that backbones would fetch (``pretrained``, ``init_cfg``) out of a model dictionary.

    Multi-view detectors name the backbone of their pictures ``img_backbone``.
    """
    for name in ('backbone', 'img_backbone'):
        backbone: Any = detector.get(name) or {}
        if backbone.get('pretrained') is not None:
            backbone['pretrained'] = None
        init = backbone.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            backbone['init_cfg'] = None


def pin_batches(config: Config) -> None:
    """Have the data loaders put their batches into pinned memory where there is a GPU, unless they say otherwise.

    From there they are copied several times as fast, while the host goes on.
    """
    if not torch.cuda.is_available():
        return
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        for loader in _as_list(config.get(name)):
            loader.setdefault('pin_memory', True)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if value else []


def build_runner(config: Config) -> Runner:
    """Build mmengine's Runner with safe checkpoint loading, atomic files and pinned batches."""
    resolve_load_from(config)
    skip_pretrained(config)
    pin_batches(config)
    install_checkpoint_loader()
    install_atomic_files()
    if config.get('runner_type') is not None:
        raise ConfigError('runner_type is not supported: the tools build mmengine.runner.Runner')
    return Runner.from_cfg(config)
