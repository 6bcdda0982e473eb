"""Fixtures and skips shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import mono_distill  # noqa: F401  (installs the mmcv stand-in before anything imports mmdet3d)

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / 'tests' / 'data' / 'golden'


def compiled_mmcv() -> bool:
    """Whether mmcv with compiled ops is installed (the full tier)."""
    from mono_distill.compat.mmcv_lite import has_compiled_ops

    return has_compiled_ops()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if compiled_mmcv():
        return
    skip = pytest.mark.skip(reason='needs mmcv with compiled ops (make test-full)')
    for item in items:
        if 'full' in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _fixed_seeds():
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def golden():
    """Load a committed file of numbers computed by official code: ``golden('affinity')['resize3_loss_f64']``."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f'{name}.npz', allow_pickle=False) as file:
            return dict(file)

    return load


@pytest.fixture(scope='session')
def kitti_real() -> Path:
    """The folder with real KITTI frames (read-only), or a skip."""
    folder = Path(os.environ.get('MONO_DISTILL_REAL_DATA', ROOT.parent / 'shared' / 'data')) / 'kitti_real'
    if not folder.is_dir():
        pytest.skip(f'no real KITTI frames at {folder}; set MONO_DISTILL_REAL_DATA')
    return folder


@pytest.fixture(scope='session')
def nuscenes_real() -> Path:
    """The folder with a real nuScenes key-frame (read-only), or a skip."""
    folder = Path(os.environ.get('MONO_DISTILL_REAL_DATA', ROOT.parent / 'shared' / 'data')) / 'nuscenes_real'
    if not folder.is_dir():
        pytest.skip(f'no real nuScenes key-frame at {folder}; set MONO_DISTILL_REAL_DATA')
    return folder


@pytest.fixture(scope='session')
def tiny_nuscenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared nuScenes root of the embedded world (see tiny_nuscenes.py); do not write into it."""
    from tiny_nuscenes import write_prepared_nuscenes

    base = tmp_path_factory.getbasetemp()
    # Processes of one test run share it: making it takes half a minute.
    shared = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    return write_prepared_nuscenes(shared / 'tiny_nuscenes')
