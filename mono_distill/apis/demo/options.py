"""What a demo run is asked for, and the training schedule that follows from the number of frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mono_distill.utils.errors import ConfigError

BATCH_SIZE = 4
# Frames are kept in memory while training.
MAX_FRAMES = 2000


@dataclass(frozen=True)
class DemoOptions:
    """A demo run. Two runs with equal options (but ``out`` and ``workers``) do the same.

    Attributes:
        out: Folder for everything the demo writes.
        frames: Number of generated frames; a quarter of them is kept for validation.
        seed: Seed of the world and of every training.
        train_steps: Steps of the teacher's and of the student's training, rounded to whole epochs.
        distil_steps: Steps of the distillation and of its control.
        workers: Processes that work side by side.
        kitti_root: A folder in KITTI's layout to use instead of generated frames.
    """

    out: Path
    frames: int = 600
    seed: int = 0
    train_steps: int = 4000
    distil_steps: int = 2500
    workers: int = 2
    kitti_root: Path | None = None

    def __post_init__(self) -> None:
        for name, least in (('frames', 20), ('train_steps', 1), ('distil_steps', 1), ('workers', 1), ('seed', 0)):
            if getattr(self, name) < least:
                raise ConfigError(f'--{name.replace("_", "-")} must be at least {least}, got {getattr(self, name)}')
        if self.frames > MAX_FRAMES:
            raise ConfigError(f'--frames must be at most {MAX_FRAMES}, got {self.frames}: they are kept in memory')

    @property
    def image_scale(self) -> float:
        """Size of the images relative to KITTI's: that of the network's input where they are generated."""
        return 0.25 if self.kitti_root is None else 1.0

    def recorded(self) -> dict[str, object]:
        """Return the options that decide what is computed."""
        source: dict[str, object] = (
            {'frames': self.frames} if self.kitti_root is None else {'kitti_root': str(self.kitti_root.resolve())}
        )
        return source | {'seed': self.seed, 'train_steps': self.train_steps, 'distil_steps': self.distil_steps}


@dataclass(frozen=True)
class Schedule:
    """The length of a training.

    Attributes:
        epochs: Number of epochs.
        steps: Number of steps in all.
    """

    epochs: int
    steps: int


def schedule(frames: int, steps: int) -> Schedule:
    """Return the whole number of epochs that comes closest to a number of steps.

    Args:
        frames: Frames that are trained on; an epoch visits each once, but for an incomplete batch.
        steps: Wanted steps.

    Raises:
        ConfigError: There are too few frames for a batch, or too many to be kept in memory.

    Example:
        >>> schedule(450, 2000)
        Schedule(epochs=18, steps=2016)
    """
    if not BATCH_SIZE <= frames <= MAX_FRAMES:
        raise ConfigError(
            f'the demo trains on {BATCH_SIZE} to {MAX_FRAMES} frames, got {frames}; for more train the configs '
            'themselves (docs/kitti.md)'
        )
    length = frames // BATCH_SIZE
    epochs = max(1, round(steps / length))
    return Schedule(epochs, epochs * length)
