"""What a synthetic nuScenes data set consists of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mono_distill.synthetic.nuscenes.rig import image_shape
from mono_distill.synthetic.output import with_fingerprint
from mono_distill.utils.errors import ConfigError

# Raised whenever the same options give other files.
FORMAT_VERSION = 1
# Below this a camera shows nothing.
MIN_IMAGE_ROWS = 32
# The road of a scene is long enough for so many at any speed; nuScenes' scenes have 40.
MAX_KEYFRAMES = 70


@dataclass(frozen=True)
class NuScenesOptions:
    """Size and looks of a data set.

    Attributes:
        out: The data set's root (nuScenes' ``dataroot``).
        scenes: Number of scenes, at least 2: one fifth of them, but at least one, forms the validation split.
        keyframes: Annotated samples per scene, half a second apart, 2 to 70.
        seed: Two seeds share no scene.
        image_scale: Size of the images relative to 1600x900; the intrinsics are scaled with it.
        difficulty: Of the world, 0 to 1.
        jpeg_quality: 1 to 100.

    Raises:
        ConfigError: If a value is impossible.
    """

    out: Path
    scenes: int
    keyframes: int
    seed: int
    image_scale: float = 0.5
    difficulty: float = 0.5
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        object.__setattr__(self, 'out', Path(self.out))
        for name, lowest in (('scenes', 2), ('keyframes', 2), ('seed', 0)):
            if getattr(self, name) < lowest:
                raise ConfigError(f'{name} must be at least {lowest}, got {getattr(self, name)}')
        if self.seed >= 2**32:
            raise ConfigError(f'seed must be below 2**32, got {self.seed}')
        if self.keyframes > MAX_KEYFRAMES:
            raise ConfigError(
                f'keyframes must be at most {MAX_KEYFRAMES}, got {self.keyframes}; make more scenes instead'
            )
        if not 0 < self.image_scale <= 1:
            raise ConfigError(f'image_scale must be above 0 and at most 1, got {self.image_scale}')
        if image_shape(self.image_scale)[0] < MIN_IMAGE_ROWS:
            raise ConfigError(
                f'image_scale {self.image_scale} leaves fewer than {MIN_IMAGE_ROWS} rows; use a larger one'
            )
        if not 0 <= self.difficulty <= 1:
            raise ConfigError(f'difficulty must be 0 to 1, got {self.difficulty}')
        if not 1 <= self.jpeg_quality <= 100:
            raise ConfigError(f'jpeg_quality must be 1 to 100, got {self.jpeg_quality}')

    def manifest(self) -> dict[str, Any]:
        """Return everything that the files depend on, with a digest of it; not where they are."""
        values = {name: value for name, value in asdict(self).items() if name != 'out'}
        return with_fingerprint({'format': 'nuscenes', 'format_version': FORMAT_VERSION, 'options': values})
