"""What a synthetic KITTI data set consists of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mono_distill.synthetic.kitti.rig import image_shape
from mono_distill.synthetic.output import with_fingerprint
from mono_distill.utils.errors import ConfigError
from mono_distill.version import __version__

# Raised whenever the same options give other files.
FORMAT_VERSION = 1
# Below this a camera shows nothing.
MIN_IMAGE_ROWS = 32
# KITTI's file names have six digits.
MAX_FRAMES = 1_000_000


@dataclass(frozen=True)
class KittiOptions:
    """Size and looks of a data set.

    Attributes:
        out: The data set's root.
        frames: Number of frames, 1 to a million; all are in ``training``.
        seed: Two seeds share no scene.
        image_scale: Size of the images relative to 375x1242, above 0 to 1; the calibration is scaled with it.
        difficulty: Of the world, 0 to 1.
        val_share: Share of the sequences that form the validation split, 0 to below 1. The first sequence is always
            for training, and a sequence's split does not depend on how many follow.
        frames_per_sequence: Frames that share a scene and a rig.
        frame_gap: Seconds between them.

    Raises:
        ConfigError: If a value is impossible.
    """

    out: Path
    frames: int
    seed: int = 0
    image_scale: float = 1.0
    difficulty: float = 0.5
    val_share: float = 0.25
    frames_per_sequence: int = 10
    frame_gap: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, 'out', Path(self.out))
        _check(self, 'frames', 1 <= self.frames <= MAX_FRAMES, f'1 to {MAX_FRAMES}')
        _check(self, 'seed', 0 <= self.seed < 2**32, 'from 0 to 2**32 - 1')
        _check(self, 'image_scale', 0 < self.image_scale <= 1, 'above 0 and at most 1')
        rows = image_shape(self.image_scale)[0]
        _check(self, 'image_scale', rows >= MIN_IMAGE_ROWS, f'larger, for the images to have {MIN_IMAGE_ROWS} rows')
        _check(self, 'difficulty', 0 <= self.difficulty <= 1, '0 to 1')
        _check(self, 'val_share', 0 <= self.val_share < 1, '0 to below 1')
        _check(self, 'frames_per_sequence', self.frames_per_sequence >= 1, 'at least 1')
        _check(self, 'frame_gap', 0 < self.frame_gap < math.inf, 'above 0')

    @property
    def duration(self) -> float:
        """Seconds that a scene lasts."""
        return self.frames_per_sequence * self.frame_gap

    def sequences(self) -> list[range]:
        """Return the frame numbers of every sequence; the last one may be shorter."""
        step = self.frames_per_sequence
        return [range(first, min(first + step, self.frames)) for first in range(0, self.frames, step)]

    def split_of(self, sequence: int) -> str:
        """Return ``train`` or ``val``; validation sequences are spread evenly.

        Example:
            >>> options = KittiOptions(Path('kitti'), frames=60)
            >>> [options.split_of(sequence) for sequence in range(6)]
            ['train', 'val', 'train', 'train', 'train', 'val']
        """
        before, after = (math.floor(number * self.val_share + 0.5) for number in (sequence, sequence + 1))
        return 'val' if sequence > 0 and after > before else 'train'

    def splits(self) -> dict[str, list[str]]:
        """Return the frame names of ``train``, ``val`` and ``trainval``."""
        names: dict[str, list[str]] = {'train': [], 'val': [], 'trainval': []}
        for sequence, frames in enumerate(self.sequences()):
            own = frame_names(frames)
            names[self.split_of(sequence)] += own
            names['trainval'] += own
        return names

    def manifest(self) -> dict[str, Any]:
        """Return everything that the files depend on, with a digest of it, and the frames of every sequence."""
        values = {name: value for name, value in asdict(self).items() if name != 'out'}
        content = with_fingerprint(
            {'format': 'kitti', 'format_version': FORMAT_VERSION, 'mono_distill': __version__, 'options': values}
        )
        sequences = [
            {'sequence': number, 'split': self.split_of(number), 'frames': frame_names(frames)}
            for number, frames in enumerate(self.sequences())
        ]
        return content | {'sequences': sequences}


def frame_names(frames: Iterable[int]) -> list[str]:
    """Return file names without suffix: ``000123``."""
    return [f'{frame:06d}' for frame in frames]


def _check(options: KittiOptions, name: str, fine: bool, wanted: str) -> None:
    if not fine:
        raise ConfigError(f'{name} must be {wanted}, got {getattr(options, name)}')
