"""All the trainings that a distillation needs, one after the other: teachers, the student it starts from, itself."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dist import barrier

from mono_distill.apis import launch
from mono_distill.distillers.build import config_roots, is_distiller
from mono_distill.distillers.weights import last_checkpoint
from mono_distill.registry import SCOPE
from mono_distill.utils.errors import CheckpointError, ConfigError

# Folder that configs name in checkpoints (work_dirs/<name of a config>), and the default of the command.
WORK_DIRS = 'work_dirs'
# Where the config of a work directory is looked for, beside the config that names it.
_FOLDERS = ('.', 'students', 'teachers', 'assistants')


@dataclass(frozen=True)
class Stage:
    """One training.

    Attributes:
        name: Name of its work directory.
        role: What it is for, for people: ``'teacher lidar'``, ``'student'``, ``'distillation'``, ``'control'``.
        path: Its config: a file, or ``package::path``.
        folder: Its work directory.
        options: Settings that replace the config's.
        plain: For a control, the training whose model and hooks replace those of ``path``.
    """

    name: str
    role: str
    path: str
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    plain: Stage | None = None

    def config(self) -> Config:
        """Read its config.

        Raises:
            ConfigError: It does not exist, or an option of one of our types is unknown.
        """
        config = launch.load_config(self.path, self.options, str(self.folder))
        if self.plain is not None:
            plain = self.plain.config()
            config.model = plain.model
            config.custom_hooks = plain.get('custom_hooks', [])
        return config

    def state(self) -> str:
        """Return ``'finished'``, ``'begun'`` or ``'missing'``, by the last checkpoint of its work directory.

        Finished is a training whose last checkpoint is of the config's last epoch, or step where it counts steps.

        Raises:
            CheckpointError: The work directory's record names a file that is gone.
        """
        if not (self.folder / 'last_checkpoint').is_file():
            return 'missing'
        counted = re.fullmatch(r'(epoch|iter)_(\d+)\.pth', last_checkpoint(self.folder).name)
        loop = self.config().get('train_cfg') or {}
        limit = loop.get('max_epochs' if counted and counted[1] == 'epoch' else 'max_iters')
        return 'finished' if counted and limit is not None and int(counted[2]) >= limit else 'begun'


def plan_stages(
    path: str,
    root: Path = Path(WORK_DIRS),
    *,
    options: Mapping[str, Any] | None = None,
    all_options: Mapping[str, Any] | None = None,
    control: bool = False,
) -> list[Stage]:
    """Find the trainings that a config needs.

    A teacher whose ``checkpoint`` is a work directory is trained from the config of that name in the folder of its own
    config, or, where there is none, from its own config. So is what ``load_from`` names, from ``students/``,
    ``teachers/`` or ``assistants/`` beside the config. These configs may need others in their turn. Checkpoints that
    are files or URLs are taken as they are.

    Args:
        path: The config, a file or ``package::path``.
        root: Takes the place of ``work_dirs`` in front of every work directory. Directories elsewhere stay.
        options: Settings for this config alone.
        all_options: Settings for every config, ``options`` before them.
        control: Whether to add the plain student, trained on from the same checkpoint with the distillation's data
            and schedule.

    Returns:
        The trainings in their order; that of ``path`` is the last but for the control.

    Raises:
        ConfigError: A config does not exist, one needs itself, a teacher has no checkpoint, or there can be no control.
        CheckpointError: A checkpoint that is named as a file does not exist.
    """
    planner = _Planner(root, dict(all_options or {}))
    last = planner.add(path, 'distillation', root / _stem(path), dict(options or {}))
    stages = list(planner.stages.values())
    if control:
        start = next((stage for stage in stages if stage.folder == Path(str(last.options.get('load_from')))), None)
        if start is None or not is_distiller(last.config().model):
            raise ConfigError(
                f'{path}: a control is the student trained on from load_from without its teachers; this config is no '
                'distillation, or its load_from is no work directory'
            )
        folder = last.folder.with_name(f'{last.name}_control')
        stages.append(Stage(folder.name, 'control', last.path, folder, last.options, plain=start))
    return stages


class _Planner:
    """Collects the trainings behind a config, each once."""

    def __init__(self, root: Path, all_options: dict[str, Any]) -> None:
        self.root = root
        self.all_options = all_options
        self.stages: dict[Path, Stage] = {}
        self._open: list[Path] = []

    def add(self, path: str, role: str, folder: Path, options: dict[str, Any]) -> Stage:
        """Add what a config needs, then the config."""
        if folder in self.stages:
            return self.stages[folder]
        if folder in self._open:
            raise ConfigError(f'{path}: needs itself, by way of {" -> ".join(map(str, [*self._open, folder]))}')
        self._open.append(folder)
        settings = {**self.all_options, **options}
        config = launch.load_config(path, settings)
        found = self._teachers(config, path) | self._start(config, path)
        self._open.pop()
        kind = role if role != 'distillation' or is_distiller(config.model) else 'training'
        self.stages[folder] = Stage(folder.name, kind, path, folder, {**settings, **found})
        return self.stages[folder]

    def _teachers(self, config: Config, path: str) -> dict[str, str]:
        """Add the teachers' trainings; return where their checkpoints are, as settings of the config."""
        teachers = config.model.get('teachers', {}) if is_distiller(config.model) else {}
        found = {}
        for name, teacher in teachers.items():
            key = f'model.teachers.{name}.checkpoint'
            checkpoint = teacher.get('checkpoint')
            if checkpoint is None and teacher.get('allow_random'):
                continue
            if checkpoint is None:
                raise ConfigError(
                    f'{path}: {key} is not set; name the work directory that is to be trained, work_dirs/<config name>'
                )
            folder = self._work_dir(checkpoint, key)
            if folder is None:
                continue
            own = teacher.get('config')
            if own is None:
                self._require(folder, key, "the teacher has no 'config' to be trained from")
            else:
                self.add(_sibling(own, folder.name) or own, f'teacher {name}', folder, {})
            found[key] = str(folder)
        return found

    def _start(self, config: Config, path: str) -> dict[str, str]:
        """Add the training that ``load_from`` names; return where it is, as a setting of the config."""
        start = config.get('load_from')
        folder = self._work_dir(start, 'load_from') if start else None
        if folder is None:
            return {}
        source = _sibling(path, folder.name)
        if source is None:
            self._require(folder, 'load_from', f'no config {folder.name}.py is in {_places(path)}')
        else:
            self.add(source, 'student', folder, {})
        return {'load_from': str(folder)}

    def _work_dir(self, checkpoint: str, key: str) -> Path | None:
        """Return the work directory a checkpoint stands for; None if it is a file or a URL.

        Raises:
            CheckpointError: It is a file that does not exist.
        """
        path = Path(checkpoint)
        if '://' in checkpoint or path.is_file():
            return None
        if path.suffix:
            raise CheckpointError(f'{key}: {checkpoint} does not exist; name a file that does, or a work directory')
        return self.root.joinpath(*path.parts[1:]) if path.parts[0] == WORK_DIRS else path

    def _require(self, folder: Path, key: str, why: str) -> None:
        if not (folder / 'last_checkpoint').is_file():
            raise ConfigError(f'{key}: {folder} holds no checkpoint, and {why}; train it, or name a checkpoint file')


def run_stages(
    stages: Sequence[Stage],
    *,
    prepare: Callable[[Config], None] = lambda config: None,
    say: Callable[[str], None] = print,
) -> None:
    """Train what is not finished, in order; what was begun goes on from its last checkpoint.

    Args:
        stages: From :func:`plan_stages`.
        prepare: Changes every config before it is trained (launcher, seed).
        say: Takes a line at the beginning and the end of every training.
    """
    for number, stage in enumerate(stages, start=1):
        # No process may look for a checkpoint that another is about to write.
        barrier()
        state = stage.state()
        place = f'[{number}/{len(stages)}] {stage.role}: {stage.name}'
        if state == 'finished':
            say(f'{place}: done before ({last_checkpoint(stage.folder)})')
            continue
        say(f'{place}: {"goes on" if state == "begun" else "training"} in {stage.folder}')
        config = stage.config()
        prepare(config)
        if state == 'begun':
            launch.set_resume(config, str(last_checkpoint(stage.folder)))
        launch.build_runner(config).train()
        # The next training needs the memory.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        say(f'{place}: done')


def _stem(path: str) -> str:
    return Path(path.split('::')[-1]).stem


def _sibling(path: str, name: str) -> str | None:
    """Find the config of a name in the folder of another, or in those around it."""
    package, _, inner = path.rpartition('::')
    roots = config_roots(package) if package else [Path()]
    for folder in _around(Path(inner)):
        for root in roots:
            if (root / folder / f'{name}.py').is_file():
                return f'{package}::{folder / name}.py' if package else str(folder / f'{name}.py')
    # A config of one's own starts from one that ships with the package.
    return None if package else _sibling(f'{SCOPE}::any.py', name)


def _around(path: Path) -> list[Path]:
    """Return the folder of a config, and the places of other configs as seen from it."""
    top = path.parent.parent if path.parent.name in _FOLDERS else path.parent
    return list(dict.fromkeys([path.parent, *(top / folder for folder in _FOLDERS)]))


def _places(path: str) -> str:
    return ', '.join(str(folder) for folder in _around(Path(path.split('::')[-1])))
