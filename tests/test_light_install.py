"""Losses and ops work where only torch, numpy, mmengine and what these need are installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
# mmengine asks for opencv-python; the headless build is the one that is installed.
STAND_INS = {'opencv-python': 'opencv-python-headless'}

PROGRAM = """
import sys
sys.path[:0] = [sys.argv[1]]
import mono_distill.losses, mono_distill.ops
from mono_distill.registry import MODELS
import torch
maps = [torch.randn(2, 3, 4, 6)]
print(float(MODELS.build(dict(type='mono_distill.SceneAffinityLoss'))(maps, maps)))
loaded = {name.split('.')[0] for name in sys.modules}
print(sorted(loaded & {'mmcv', 'mmdet', 'mmdet3d', 'numba', 'scipy', 'trimesh', 'nuscenes'}))
for name in ('mmcv', 'mmdet3d', 'scipy', 'numba'):
    try:
        __import__(name)
    except ImportError:
        continue
    sys.exit(f'{name} can be imported: this is no bare environment')
"""


def closure(*names: str) -> set[str]:
    """Return the installed distributions that some need, they included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        name = STAND_INS.get(name, name)
        if name in found:
            continue
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            # A need that this machine meets otherwise, or not at all; the import shows whether it is missed.
            continue
        found.add(name)
        parsed = [Requirement(need) for need in needs]
        waiting += [need.name for need in parsed if need.marker is None or need.marker.evaluate({'extra': ''})]
    return found


def link(name: str, folder: Path) -> None:
    """Link the top-level modules of a distribution into a folder."""
    files = distribution(name).files or []
    for top in {file.parts[0] for file in files if file.parts[0] not in ('..', '__pycache__')}:
        target = folder / top
        if not target.exists():
            target.symlink_to(Path(str(distribution(name).locate_file(top))))


@pytest.fixture(scope='module')
def bare(tmp_path_factory):
    """A folder of packages that holds torch, numpy, mmengine, their needs, and this package."""
    folder = tmp_path_factory.mktemp('bare')
    for name in closure('torch', 'numpy', 'mmengine'):
        link(name, folder)
    (folder / 'mono_distill').symlink_to(ROOT / 'mono_distill')
    return folder


def test_losses_and_ops_need_torch_numpy_and_mmengine_only(bare, tmp_path):
    command = [sys.executable, '-S', '-c', PROGRAM, str(bare)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env={'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr
    loss, heavy = done.stdout.splitlines()
    assert float(loss) == 0
    assert heavy == '[]'
