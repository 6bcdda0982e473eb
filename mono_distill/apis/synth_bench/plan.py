"""What the benchmark runs, as data: worlds, settings, arms and the order of the runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError, DataError, did_you_mean

# Fixed before the first run; everything else that is measured stands beside it.
PRIMARY = 'KITTI/Car_3D_AP40_moderate_loose'
# Raised when the same plan gives other runs, so that old results are not taken for new ones.
FORMAT_VERSION = 1

TEACHER, BASE, PSEUDO = 'teacher', 'base', 'pseudo'
# Teachers that know nothing: with random weights, and trained on the depth maps of other frames.
UNTRAINED, SHUFFLED = 'teacher_random', 'teacher_shuffled'
TEACHERS = (TEACHER, UNTRAINED, SHUFFLED)
CONTROL = 'control'
# Arm to what it is, in the words of the tables.
ARMS = {
    TEACHER: 'teacher (LiDAR depth map)',
    UNTRAINED: 'teacher with random weights',
    SHUFFLED: "teacher of other frames' depth maps",
    BASE: 'student before the second half',
    CONTROL: 'control: more training, no teacher',
    'monoskd': 'MonoSKD as released (features + response)',
    'monoskd_rank': 'MonoSKD with true ranks',
    'features': 'features only (Spearman + affinity)',
    'response': 'response only',
    'dense_gt': 'dense ground truth, no teacher',
    'dense_features': "teacher's features + dense ground truth",
    'monoskd_backbone': 'MonoSKD, backbone tapped',
    'monoskd_unlabelled': 'MonoSKD, unlabelled frames too',
    'pseudo_labels': "the teacher's detections as labels, no distillation",
    'monoskd_pseudo': "MonoSKD, and the teacher's detections as labels",
    'all_labels': 'control with the labels of all frames',
    'monodistill': 'MonoDistill',
    'monostl': 'MonoSTL',
    PSEUDO: 'detection of the pseudo-labels',
}
_FEATURE_WEIGHTS = {'': '', '_strong': ', 30 times the weight', '_heavy': ', 300 times the weight'}
# Features on objects alone, plain or weighed by uncertainty; in several weights; through a trained adapter or without;
# from the teacher or from one that knows nothing.
FEATURE_ARMS = {
    f'{loss}{weight}{form}{teacher}': f'{loss_title}{weight_title}{form_title}{teacher_title}'
    for teacher, teacher_title in {
        '': '',
        '_random': ', teacher with random weights',
        '_shuffled': ", teacher of other frames' depth maps",
    }.items()
    for form, form_title in {'': '', '_direct': ', no adapter'}.items()
    for weight, weight_title in _FEATURE_WEIGHTS.items()
    for loss, loss_title in {'l2': 'L2 of features on objects', 'dasfd': 'DASFD (by uncertainty)'}.items()
}
ARMS |= FEATURE_ARMS
# Arms that need the teacher's checkpoint, and those that need its detections as labels.
TAUGHT = (
    'monoskd',
    'monoskd_rank',
    'features',
    'response',
    'dense_features',
    'monoskd_backbone',
    'monoskd_unlabelled',
    'monoskd_pseudo',
    'monodistill',
    'monostl',
    *FEATURE_ARMS,
)
DENSE = 'dense_gt'
# What an arm is compared with: the same training without a teacher, and the same without what the teacher alone knows:
# dense supervision by ground truth, or the teacher's detections as plain labels. DASFD is compared with plain L2.
_SECOND = {
    **{arm: arm.replace('dasfd', 'l2') if arm.startswith('dasfd') else None for arm in FEATURE_ARMS},
    'monoskd_unlabelled': 'pseudo_labels',
    'monoskd_pseudo': 'pseudo_labels',
    'pseudo_labels': None,
    'all_labels': None,
    DENSE: None,
}
# Fields of a setting that only what comes after teacher and base student depends on.
_OF_ARMS = ('arm_epochs', 'arm_lr', 'weights')


def controls_of(arm: str) -> tuple[str, ...]:
    """Return the arms that an arm is compared with, the most important first.

    Example:
        >>> controls_of('monoskd'), controls_of('dense_gt'), controls_of('teacher')
        (('control', 'dense_gt'), ('control',), ())
    """
    if arm in (*TEACHERS, BASE, CONTROL, PSEUDO):
        return ()
    second = _SECOND.get(arm, DENSE)
    return (CONTROL,) if second is None else (CONTROL, second)


def teacher_of(arm: str) -> str:
    """Return the teacher of a taught arm.

    Example:
        >>> teacher_of('monoskd'), teacher_of('dasfd_shuffled')
        ('teacher', 'teacher_shuffled')
    """
    if arm.endswith('_random'):
        return UNTRAINED
    return SHUFFLED if arm.endswith('_shuffled') else TEACHER


@dataclass(frozen=True)
class World:
    """A data set of the embedded world: training and validation sequences of one seed, test sequences of another.

    Attributes:
        frames: Frames of the training and validation splits together.
        val_share: Share of their sequences in the validation split.
        test_frames: Frames of the test split.
        seed: Seed of the first.
        test_seed: Seed of the test split; two seeds share no scene.
        difficulty: 0 to 1.
        image_scale: Size of the images relative to KITTI's.
    """

    frames: int = 800
    val_share: float = 0.25
    test_frames: int = 1000
    seed: int = 1
    test_seed: int = 2
    difficulty: float = 0.5
    image_scale: float = 0.25


@dataclass(frozen=True)
class Setting:
    """One condition. Every arm of it, its control included, has the same budget and starts from the same weights.

    Attributes:
        title: In the words of the tables.
        arms: What is compared, the control first.
        seeds: Number of paired seeds.
        side_arms: Further arms, run when everything else is done.
        side_seeds: Number of their seeds.
        world: Name of the world.
        start: Setting whose teacher and base students are used; ``None`` for own ones.
        base_channels: Width of the student's and the teacher's backbone.
        labelled: The first so many training frames carry labels; ``None`` for all.
        epoch_frames: Images of an epoch, whatever the data set holds.
        teacher_epochs: Epochs of the teacher.
        base_epochs: Epochs of the students before they part.
        arm_epochs: Epochs of every arm.
        lr: Learning rate of the first part.
        arm_lr: Learning rate of the arms.
        weights: Weights of the distillation losses.
    """

    title: str
    arms: tuple[str, ...]
    seeds: int = 2
    side_arms: tuple[str, ...] = ()
    side_seeds: int = 2
    world: str = 'main'
    start: str | None = None
    base_channels: int = 16
    labelled: int | None = None
    epoch_frames: int = 600
    teacher_epochs: int = 24
    base_epochs: int = 20
    arm_epochs: int = 12
    lr: float = 2e-3
    arm_lr: float = 1e-3
    weights: dict[str, float] = field(default_factory=lambda: {'spearman': 1.0, 'affinity': 1.0, 'response': 1.0})


@dataclass(frozen=True, order=True)
class Run:
    """One training: an arm of a setting with a seed."""

    setting: str
    arm: str
    seed: int

    @property
    def id(self) -> str:
        """``main/monoskd/0``: also the folder of the run."""
        return f'{self.setting}/{self.arm}/{self.seed}'

    @classmethod
    def parse(cls, text: str) -> Run:
        """Read an id.

        Example:
            >>> Run.parse('main/control/3')
            Run(setting='main', arm='control', seed=3)
        """
        parts = text.split('/')
        if len(parts) != 3 or not parts[2].isdigit():
            raise ConfigError(f"'{text}' names no run; runs are named setting/arm/seed, such as main/monoskd/0")
        return cls(parts[0], parts[1], int(parts[2]))


@dataclass(frozen=True)
class Plan:
    """Worlds and settings by name, in the order in which they are worked on."""

    worlds: dict[str, World]
    settings: dict[str, Setting]

    def __post_init__(self) -> None:
        for name, setting in self.settings.items():
            _check(f'setting {name}: world', setting.world, self.worlds)
            for arm in (*setting.arms, *setting.side_arms):
                _check(f'setting {name}: arm', arm, ARMS)
            if setting.start is not None:
                _check(f'setting {name}: start', setting.start, self.settings)

    def runs(self, settings: Sequence[str] | None = None, arms: Sequence[str] | None = None) -> list[Run]:
        """Return the runs of some settings and arms, those they need included, seed by seed.

        Raises:
            ConfigError: A name is unknown.
        """
        for name in settings or ():
            _check('setting', name, self.settings)
        for name in arms or ():
            _check('arm', name, ARMS)
        found: dict[Run, None] = {}
        chosen = {name: setting for name, setting in self.settings.items() if settings is None or name in settings}
        for side in (False, True):
            for name, setting in chosen.items():
                for seed in range(setting.side_seeds if side else setting.seeds):
                    for arm in setting.side_arms if side else setting.arms:
                        if arms is None or arm in arms:
                            found |= dict.fromkeys(self._with_needs(Run(name, arm, seed)))
        return list(found)

    def needs(self, run: Run) -> list[Run]:
        """Return the runs whose checkpoints (or detections) a run starts from.

        Raises:
            ConfigError: The plan holds no such run.
        """
        _check('setting', run.setting, self.settings)
        _check('arm', run.arm, ARMS)
        if run.arm in (*TEACHERS, BASE):
            return []
        start = self.settings[run.setting].start or run.setting
        teacher = Run(start, TEACHER, 0)
        if run.arm == PSEUDO:
            return [teacher]
        needed = [Run(start, BASE, run.seed)]
        if run.arm in TAUGHT:
            needed.append(Run(start, teacher_of(run.arm), 0))
        if run.arm in ('pseudo_labels', 'monoskd_pseudo'):
            needed.append(Run(start, PSEUDO, 0))
        return needed

    def fingerprint(self, run: Run) -> str:
        """Return a digest of everything the result of a run depends on: a finished run with another one is stale."""
        setting = self.settings[run.setting]
        # Names and numbers of other runs change nothing here.
        own = asdict(replace(setting, title='', arms=(), seeds=0, side_arms=(), side_seeds=0, start=None))
        if run.arm in (*TEACHERS, BASE):
            own = {key: value for key, value in own.items() if key not in _OF_ARMS}
        needed = [self.fingerprint(other) for other in self.needs(run)]
        world = asdict(self.worlds[setting.world])
        content = [FORMAT_VERSION, run.arm, run.seed, own, world, needed]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1) + '\n')

    @classmethod
    def load(cls, path: Path) -> Plan:
        """Read a plan.

        Raises:
            DataError: The file is missing or holds something else.
        """
        try:
            content = json.loads(path.read_text())
            settings = {name: Setting(**_tuples(values)) for name, values in content['settings'].items()}
            return cls({name: World(**values) for name, values in content['worlds'].items()}, settings)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f'{path} is no plan of the benchmark ({error}); run `mono-distill bench synth`') from error

    def _with_needs(self, run: Run) -> Iterable[Run]:
        for needed in self.needs(run):
            yield from self._with_needs(needed)
        yield run


def _check(what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ConfigError(f'{what}: there is no {name!r}; {did_you_mean(name, known)}')


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, 'arms': tuple(values['arms']), 'side_arms': tuple(values['side_arms'])}
