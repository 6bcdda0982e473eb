"""Random numbers that depend on what they are for, not on who draws first."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers of a key-frame are for; cameras and sweeps count up from theirs."""

    RIG = 1000
    GLOBAL_POSE = 1001
    CAMERA = 1100
    LIDAR = 1200


def generator(seed: int, index: int, frame: int, stream: int) -> np.random.Generator:
    """Return the generator for one purpose.

    Args:
        seed: Of the data set.
        index: Number of the scene.
        frame: Number of the key-frame.
        stream: A :class:`Stream`, plus the number of the camera or sweep.
    """
    return np.random.default_rng([seed, index, frame, stream])
