"""From metres to the numbers a depth network is fed with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor

from mono_distill.utils.errors import ConfigError, did_you_mean

# Statistics, in metres, of completed KITTI depth maps with missing pixels counted as 0 (config of MonoDistill).
DEPTH_MEAN = 8.765
DEPTH_STD = 11.275
DEPTH_RANGE = 80.0


def _metric(depth: Tensor) -> Tensor:
    return (depth - DEPTH_MEAN) / DEPTH_STD


def _monodistill(depth: Tensor) -> Tensor:
    return (depth / DEPTH_RANGE - DEPTH_MEAN) / DEPTH_STD


def _monoskd(depth: Tensor) -> Tensor:
    return depth / 256 / DEPTH_RANGE


DEPTH_NORMALIZATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {'metric': _metric, 'monodistill': _monodistill, 'monoskd': _monoskd}
)


def normalize_depth(depth: Tensor, mode: str = 'metric') -> Tensor:
    """Normalise depth in metres; 0 (missing) becomes the smallest value of the result, below every measured depth.

    * ``metric``: ``(d - 8.765) / 11.275``. On completed KITTI depth maps this has about zero mean and unit variance
      over all pixels, the missing ones (a third, mostly sky) included, so it suits ImageNet weights and frozen
      normalisation layers. Missing is -0.78, a return at 4 m -0.42, at 80 m 6.3.
    * ``monodistill``: ``(d / 80 - 8.765) / 11.275``, in [-0.78, -0.69]: the released MonoDistill and MonoSTL code
      (``kitti_dataset.py``) applies the metre statistics after dividing by 80. For their released teachers.
    * ``monoskd``: ``d / 256 / 80``, in [0, 0.004]: the released MonoSKD code (``kitti.py``) divides metres by the PNG
      scale a second time. For its released teacher.

    Args:
        depth: Metres, any shape, 0 where missing.
        mode: One of the names above.

    Raises:
        ConfigError: ``mode`` is unknown.

    Example:
        >>> import torch
        >>> normalize_depth(torch.tensor([0.0, 8.765, 20.04])).round(decimals=3).tolist()
        [-0.7770000100135803, 0.0, 1.0]
    """
    if mode not in DEPTH_NORMALIZATIONS:
        raise ConfigError(f'unknown depth normalisation {mode!r}; {did_you_mean(mode, DEPTH_NORMALIZATIONS)}')
    return DEPTH_NORMALIZATIONS[mode](depth)
