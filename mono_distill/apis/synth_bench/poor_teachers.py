"""Teachers that know nothing about the frame at hand, to see what a method does with them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.atomic import atomic_path

SHUFFLED_INFOS = 'kitti_infos_shuffled_train.pkl'


def write_shuffled_infos(infos: Path, *, seed: int = 0) -> Path:
    """Give every frame the depth maps of another frame, and write that as an info file beside the true one.

    A teacher trained on it sees depth that says nothing about its labels.

    Args:
        infos: The true info file; its frames are of one size.
        seed: Of the exchange.

    Returns:
        The new file.

    Example:
        >>> partners(4, seed=0).tolist()
        [1, 3, 0, 2]
    """
    content = pickle.loads(infos.read_bytes())
    entries = content['data_list']
    others = [entries[place]['depth_map'] for place in partners(len(entries), seed=seed)]
    content['data_list'] = [{**entry, 'depth_map': other} for entry, other in zip(entries, others, strict=True)]
    target = infos.with_name(SHUFFLED_INFOS)
    with atomic_path(target) as temporary:
        temporary.write_bytes(pickle.dumps(content))
    return target


def partners(count: int, *, seed: int) -> NDArray[np.int64]:
    """Return a permutation of ``count`` places that leaves none where it was: one random cycle through all."""
    order = np.random.default_rng(seed).permutation(count)
    result = np.empty(count, dtype=np.int64)
    result[order] = np.roll(order, -1)
    return result
