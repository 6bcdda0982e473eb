"""A data set whose samples are what the global generators give; importable, so that spawned workers find it."""

from __future__ import annotations

import random

import numpy as np
from torch.utils.data import Dataset

from mono_distill.datasets.reproducible import ReproducibleSamples


class Numbers(Dataset):
    def __init__(self, length: int = 6) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[int, float, float]:
        return index % self.length, random.random(), float(np.random.rand())


class ReproducibleNumbers(ReproducibleSamples, Numbers):
    pass
