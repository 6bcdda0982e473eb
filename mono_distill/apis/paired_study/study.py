"""What a study trains and compares, as its file says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mono_distill.apis.synth_bench.plan import Run
from mono_distill.utils.errors import ConfigError, did_you_mean

# Raised when the same file gives other runs, so that old results are not taken for new ones.
FORMAT_VERSION = 1
# Stands for the work folder in commands and options.
WORK = '{work}'


@dataclass(frozen=True)
class Training:
    """One arm of a study: a config and what is changed in it.

    Attributes:
        title: In the words of the table.
        config: A file, or ``package::path``.
        start: Training of the same seed whose weights it starts from.
        teachers: Teacher's name in the config to the training whose weights it has.
        losses: The distillation losses that are kept, with what feeds them; ``None`` for all.
        plain: Whether to train the student of a distillation config without its distiller: the same data, order and
            augmentation, no teacher.
        shared: Whether seed 0 serves all seeds: teachers.
        options: Settings that replace the config's, with dotted names; :data:`WORK` stands for the work folder.
        against: Trainings of the same seed that it is compared with.

    Raises:
        ConfigError: A plain training names losses or teachers.
    """

    title: str
    config: str
    start: str | None = None
    teachers: dict[str, str] = field(default_factory=dict)
    losses: tuple[str, ...] | None = None
    plain: bool = False
    shared: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    against: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.plain and (self.losses is not None or self.teachers):
            raise ConfigError(f'{self.title}: a plain student has no losses of a distillation and no teachers')

    @property
    def needs(self) -> list[str]:
        """Trainings whose weights it takes."""
        return [*([self.start] if self.start else []), *self.teachers.values()]


@dataclass(frozen=True)
class Study:
    """Trainings by name, with what they have in common.

    Attributes:
        name: Name of its file.
        title: In the words of the table.
        metrics: Column of the table to name of the metric; the first is the primary one.
        compared: Columns whose paired differences are in the table; none for the primary one.
        scalars: Further columns: what the training logged in the end (``kd_cd_student_dim``), where it did.
        seeds: Number of paired seeds.
        data: Calls of ``mono-distill`` that make the data, in order, each made once.
        options: Settings of every training, before its own.
        trainings: In the order of the table; a training stands behind what it needs.
        note: A sentence or two below the table.

    Raises:
        ConfigError: A name is unknown, or something essential is missing.
    """

    name: str
    title: str
    metrics: dict[str, str]
    trainings: dict[str, Training]
    compared: tuple[str, ...] = ()
    scalars: dict[str, str] = field(default_factory=dict)
    seeds: int = 3
    data: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    note: str = ''

    def __post_init__(self) -> None:
        if not self.metrics or not self.trainings:
            raise ConfigError(f'study {self.name}: it needs metrics and trainings')
        for label in self.compared:
            if label not in self.metrics:
                raise ConfigError(
                    f'study {self.name}: compared: no metric {label!r}; {did_you_mean(label, self.metrics)}'
                )
        before: list[str] = []
        for name, training in self.trainings.items():
            for other in training.needs:
                if other not in before:
                    raise ConfigError(
                        f'study {self.name}: {name} starts from {other!r}, which does not stand before it; '
                        + did_you_mean(other, before)
                    )
            for other in training.against:
                if other not in self.trainings:
                    raise ConfigError(
                        f'study {self.name}: {name} is compared with {other!r}; {did_you_mean(other, self.trainings)}'
                    )
            before.append(name)

    @classmethod
    def load(cls, path: Path) -> Study:
        """Read a study's file: a Python config whose names are the fields of this class, or begin with ``_``.

        Raises:
            ConfigError: The file does not exist, or holds other names.
        """
        if not path.is_file():
            raise ConfigError(f'{path} does not exist; a study is a Python file, see docs/studies.md')
        content = Config.fromfile(str(path), format_python_code=False).to_dict()
        content = {name: value for name, value in content.items() if not name.startswith('_')}
        trainings = {
            name: _read(Training, entry, f'{path.name}: trainings.{name}')
            for name, entry in content.pop('trainings', {}).items()
        }
        study: Study = _read(cls, {**content, 'name': path.stem, 'trainings': trainings}, path.name)
        return study

    def runs(self, names: list[str] | None = None, seeds: int | None = None) -> list[Run]:
        """Return the runs of some trainings (default: all), with those they need, seed by seed.

        Raises:
            ConfigError: A name is unknown.
        """
        for name in names or ():
            if name not in self.trainings:
                raise ConfigError(f'study {self.name}: no training {name!r}; {did_you_mean(name, self.trainings)}')
        found: dict[Run, None] = {}
        for seed in range(self.seeds if seeds is None else seeds):
            for name in names or self.trainings:
                found |= dict.fromkeys(self._with_needs(self.run(name, seed)))
        return list(found)

    def run(self, name: str, seed: int) -> Run:
        """Return the run of a training; of a shared one there is one alone."""
        return Run(self.name, name, 0 if self.trainings[name].shared else seed)

    def needs(self, run: Run) -> list[Run]:
        """Return the runs whose weights a run takes.

        Raises:
            ConfigError: The study has no such training.
        """
        if run.setting != self.name or run.arm not in self.trainings:
            raise ConfigError(f'study {self.name} has no run {run.id}; {did_you_mean(run.arm, self.trainings)}')
        return [self.run(name, run.seed) for name in self.trainings[run.arm].needs]

    def fingerprint(self, run: Run) -> str:
        """Return a digest of what the result of a run depends on: a finished run with another one is stale."""
        own = asdict(self.trainings[run.arm])
        for words in ('title', 'against', 'shared'):
            own.pop(words)
        needed = [self.fingerprint(other) for other in self.needs(run)]
        content = [FORMAT_VERSION, run.seed, own, self.options, self.data, needed]
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]

    def _with_needs(self, run: Run) -> list[Run]:
        return [*(other for needed in self.needs(run) for other in self._with_needs(needed)), run]


def _read(kind: Any, entry: Mapping[str, Any], where: str) -> Any:
    """Build one of the classes from a dictionary, and name what it does not know."""
    known = [one.name for one in fields(kind)]
    hints = {one.name: str(one.type) for one in fields(kind)}
    for name in entry:
        if name not in known:
            raise ConfigError(f'{where}: there is no {name!r}; {did_you_mean(name, known)}')
        _check_kind(entry[name], hints[name], f'{where}: {name}')
    missing = [one.name for one in fields(kind) if _is_required(one) and one.name not in entry]
    if missing:
        raise ConfigError(f'{where}: {", ".join(missing)} must be given')
    tuples = {name: tuple(value) for name, value in entry.items() if isinstance(value, list)}
    return kind(**{**entry, **tuples})


# Beginning of a field's annotation to what the file may hold.
_KINDS: dict[str, tuple[type, ...]] = {
    'tuple': (list, tuple),
    'dict': (dict,),
    'int': (int,),
    'bool': (bool,),
    'str': (str,),
}


def _check_kind(value: Any, hint: str, where: str) -> None:
    """A text where a list is meant would be taken letter by letter."""
    if value is None and 'None' in hint:
        return
    wanted = next(kinds for name, kinds in _KINDS.items() if hint.startswith(name))
    if not isinstance(value, wanted) or (wanted == (int,) and isinstance(value, bool)):
        raise ConfigError(f'{where} must be of type {wanted[0].__name__}, got {value!r}')


def _is_required(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING
