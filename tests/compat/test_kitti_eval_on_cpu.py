from __future__ import annotations

import os
import subprocess
import sys
import types

import numba
import numpy as np
import pytest

from mono_distill.compat.kitti_eval import EVAL_MODULE, ROTATE_IOU_MODULE, kitti_eval_on_cpu


def test_mmdet3d_uses_the_given_overlap():
    calls = []

    def rotated_iou(boxes: np.ndarray, query_boxes: np.ndarray, criterion: int) -> np.ndarray:
        calls.append((len(boxes), len(query_boxes), criterion))
        return np.full((len(boxes), len(query_boxes)), 0.25)

    with kitti_eval_on_cpu(rotated_iou) as module:
        assert (module.bev_box_overlap(np.ones((2, 5)), np.ones((3, 5))) == 0.25).all()
        module.d3_box_overlap(np.ones((2, 7)), np.ones((1, 7)))
    # The 3D overlap asks for the intersection area.
    assert calls == [(2, 3, -1), (2, 1, 2)]


@pytest.mark.parametrize('before', [None, types.ModuleType('loaded by somebody else')])
def test_everything_is_as_before_after_the_block(monkeypatch: pytest.MonkeyPatch, before: types.ModuleType | None):
    monkeypatch.delitem(sys.modules, ROTATE_IOU_MODULE, raising=False)
    if before is not None:
        monkeypatch.setitem(sys.modules, ROTATE_IOU_MODULE, before)
    threads = numba.get_num_threads()

    def interrupted() -> None:
        with kitti_eval_on_cpu(lambda *_: np.zeros((0, 0))):
            assert sys.modules[ROTATE_IOU_MODULE] is not before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sys.modules.get(ROTATE_IOU_MODULE) is before
    assert numba.get_num_threads() == threads
    import gc

    assert sys.modules[EVAL_MODULE].gc is gc


def test_works_where_numba_finds_no_cache_directory():
    code = (
        'import mono_distill, numpy as np\n'
        'from numba.core import caching\n'
        'def refuse(self): raise OSError("read-only")\n'
        'caching._CacheLocator.ensure_cache_path = refuse\n'
        'from mono_distill.compat.kitti_eval import kitti_eval_on_cpu\n'
        'with kitti_eval_on_cpu(lambda *_: None) as module:\n'
        '    boxes = np.array([[0.0, 0.0, 2.0, 2.0]])\n'
        '    print(module.image_box_overlap(boxes, boxes)[0, 0])'
    )
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ['1.0']


def test_training_keeps_its_number_of_threads():
    """In a process of its own, since numba takes the threads over at its first parallel kernel."""
    code = (
        'import mono_distill, numpy, torch\n'
        'from mono_distill.compat.kitti_eval import kitti_eval_on_cpu\n'
        'torch.set_num_threads(1)\n'
        'with kitti_eval_on_cpu(lambda boxes, query, criterion: numpy.ones((len(boxes), len(query)))) as module:\n'
        '    boxes = numpy.ones((3, 7))\n'
        '    module.d3_box_overlap(boxes, boxes)\n'
        'assert torch.get_num_threads() == 1, torch.get_num_threads()\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, env={**os.environ, 'NUMBA_NUM_THREADS': '2'})
