"""A data set several times over, each time augmented anew."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import RepeatDataset as MMEngineRepeatDataset

from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.registry import DATASETS
from mono_distill.utils.errors import ConfigError


@DATASETS.register_module()
class RepeatDataset(MMEngineRepeatDataset):
    """mmengine's ``RepeatDataset`` for data sets whose samples are a function of (seed, epoch, index).

    mmengine's hands every repetition the same index, so all of them would show the same augmentation.

    Args:
        dataset: Config of the data set, or the data set; must be a :class:`ReproducibleSamples`.
        times: How often it is repeated in an epoch.
        lazy_init: See mmengine.

    Raises:
        ConfigError: The data set draws its samples in another way.
    """

    def __init__(self, dataset: Any, times: int, lazy_init: bool = False) -> None:
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
        super().__init__(dataset, times, lazy_init=lazy_init)
        if not isinstance(self.dataset, ReproducibleSamples):
            raise ConfigError(
                f'mono_distill.RepeatDataset is for reproducible data sets, and {type(self.dataset).__name__} is none; '
                "use mmengine's RepeatDataset"
            )

    def __getitem__(self, idx: int) -> Any:
        """Return sample ``idx`` of the repeated data set."""
        repetition, index = divmod(idx, len(self.dataset))
        return self.dataset.draw(index, repetition)
