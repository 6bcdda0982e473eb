"""Data sets shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from kitti_frames import prepare_real_kitti, write_golden_kitti


@pytest.fixture(scope='session')
def golden_kitti(tmp_path_factory: pytest.TempPathFactory, golden) -> Path:
    """A KITTI folder with the golden frame four times; do not write into it."""
    return write_golden_kitti(tmp_path_factory.mktemp('golden_kitti'), str(golden('dataset_md')['label_txt']), copies=4)


@pytest.fixture(scope='session')
def prepared_real(tmp_path_factory: pytest.TempPathFactory, kitti_real: Path) -> Path:
    """The real frames, prepared; do not write into it."""
    return prepare_real_kitti(kitti_real, tmp_path_factory.mktemp('prepared_real'))
