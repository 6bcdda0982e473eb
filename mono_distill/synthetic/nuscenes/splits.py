"""Scene names, which decide in which of nuScenes' splits a scene is."""

from __future__ import annotations

from dataclasses import dataclass

from mono_distill.utils.errors import ConfigError

MINI_TRAIN = (
    'scene-0061', 'scene-0553', 'scene-0655', 'scene-0757', 'scene-0796', 'scene-1077', 'scene-1094', 'scene-1100',
)  # fmt: skip
MINI_VAL = ('scene-0103', 'scene-0916')
VAL_SHARE = 0.2


@dataclass(frozen=True)
class SceneNames:
    """Names of the scenes of a data set.

    Attributes:
        version: Name of the tables' folder; the devkit's splits and MMDetection3D's metric choose by it.
        train: Scenes in the devkit's ``mini_train`` or ``train``.
        val: Scenes in the devkit's ``mini_val`` or ``val``.
    """

    version: str
    train: tuple[str, ...]
    val: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """All names; the position is the scene's number."""
        return self.train + self.val


def scene_names(count: int) -> SceneNames:
    """Choose real scene names, because the devkit's splits are lists of names.

    Up to ten scenes are a ``v1.0-mini``, more a ``v1.0-trainval``. One fifth, at least one, is for validation.

    Raises:
        ConfigError: If ``count`` is below 2 or above the number of scenes that nuScenes has.

    Example:
        >>> scene_names(3)
        SceneNames(version='v1.0-mini', train=('scene-0061', 'scene-0553'), val=('scene-0103',))
    """
    version, train, val = 'v1.0-mini', MINI_TRAIN, MINI_VAL
    if count > len(train) + len(val):
        # Imported late: it loads the whole devkit.
        from nuscenes.utils import splits

        version, train, val = 'v1.0-trainval', tuple(splits.train), tuple(splits.val)
    most = len(train) + len(val)
    if not 2 <= count <= most:
        raise ConfigError(f'a data set has 2 to {most} scenes (as many as nuScenes has names for), got {count}')
    validation = min(max(round(count * VAL_SHARE), 1, count - len(train)), len(val))
    return SceneNames(version, train[: count - validation], val[:validation])
