"""What the multi-view transforms need from those before them, asked for in one way."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mono_distill.utils.errors import ConfigError

SOURCES: Mapping[str, str] = MappingProxyType(
    {
        'img': 'mono_distill.LoadMultiViewImages',
        'cam2img': 'mono_distill.LoadMultiViewImages',
        'cam2lidar': 'mono_distill.LoadMultiViewImages',
        'lidar2cam': 'mono_distill.LoadMultiViewImages',
        'img_aug_matrix': 'mono_distill.LoadMultiViewImages',
        'frame_exists': 'mono_distill.LoadMultiViewImages',
        'points': 'mono_distill.LoadLidarSweeps',
        'past_exists': 'mono_distill.LoadLidarSweeps',
    }
)
"""The transform that writes a key."""


def need(results: Mapping[str, Any], *keys: str, transform: str) -> None:
    """Check that ``results`` holds the keys that ``transform`` reads.

    Raises:
        ConfigError: A key is missing; the message names the transform that writes it.

    Example:
        >>> need({'img': 0}, 'img', 'points', transform='LidarDepthTargets')
        Traceback (most recent call last):
            ...
        mono_distill.utils.errors.ConfigError: LidarDepthTargets found no points; put mono_distill.LoadLidarSweeps \
before it in the pipeline
    """
    for key in keys:
        if key not in results:
            source = SOURCES.get(key, f'the transform that writes {key}')
            raise ConfigError(f'{transform} found no {key}; put {source} before it in the pipeline')


def checked_range(name: str, value: Any, *, transform: str) -> tuple[float, float]:
    """Return ``value`` as (lower, upper).

    Raises:
        ConfigError: It is no ascending pair of finite numbers.

    Example:
        >>> checked_range('scale', [0.95, 1.05], transform='BEVGlobalAug')
        (0.95, 1.05)
    """
    try:
        low, high = (float(bound) for bound in value)
    except (TypeError, ValueError):
        raise ConfigError(f'{transform}: {name} must be a pair (lower, upper), got {value!r}') from None
    if not (abs(low) < float('inf') and abs(high) < float('inf') and low <= high):
        raise ConfigError(f'{transform}: {name} must be finite with lower <= upper, got {value!r}')
    return low, high
