"""Make mmdet3d's KITTI evaluation run on any machine.

Symptoms cured (mmdet3d 1.4.0):

* ``CudaSupportError: Error at driver init: CUDA driver library cannot be found`` as soon as BEV or 3D AP is computed on
  a machine without a GPU. ``rotate_iou.py`` compiles its CUDA kernel with an explicit signature, that is while it is
  imported (open-mmlab/mmdetection3d #2817).
* The same kernel answers an IoU of about 0.2 for identical rotated boxes, so that ground truth does not score 100
  against itself (open-mmlab/mmdetection3d #2910).
* Five seconds of compilation in every process: the CPU kernels of ``eval.py`` are not cached on disk.
* Training steps that are several times slower after the first validation: numba changes torch's number of threads.
* A second or more in every evaluation, however small, for three collections of all garbage of the process.
"""

from __future__ import annotations

import functools
import importlib
import sys
import types
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

EVAL_MODULE = 'mmdet3d.evaluation.functional.kitti_utils.eval'
ROTATE_IOU_MODULE = 'mmdet3d.evaluation.functional.kitti_utils.rotate_iou'

RotatedIoU = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@contextmanager
def kitti_eval_on_cpu(rotated_iou: RotatedIoU) -> Iterator[types.ModuleType]:
    """Yield mmdet3d's evaluation module, which uses ``rotated_iou`` for BEV and 3D overlaps inside the block.

    mmdet3d imports its CUDA module anew in every overlap function, so it is enough that another module stands in
    ``sys.modules`` meanwhile. Outside the block everything is as it was: mmdet3d's own ``KittiMetric`` is untouched.

    Args:
        rotated_iou: ``(boxes (N, 5), query_boxes (K, 5), criterion) -> (N, K)`` on float64 arrays.

    Yields:
        The module ``mmdet3d.evaluation.functional.kitti_utils.eval``.
    """
    module = _evaluation_module()
    stand_in = types.ModuleType(ROTATE_IOU_MODULE, 'Stand-in for the CUDA module, placed by mono_distill.')

    def rotate_iou_gpu_eval(
        boxes: np.ndarray, query_boxes: np.ndarray, criterion: int = -1, device_id: int = 0
    ) -> np.ndarray:
        return rotated_iou(boxes, query_boxes, criterion)

    stand_in.__dict__['rotate_iou_gpu_eval'] = rotate_iou_gpu_eval
    no_collection = types.SimpleNamespace(collect=lambda: 0)
    with (
        _replaced(sys.modules, ROTATE_IOU_MODULE, stand_in),
        _replaced(vars(module), 'gc', no_collection),
        _one_numba_thread(),
    ):
        yield module


@contextmanager
def _replaced(namespace: MutableMapping[str, Any], key: str, value: object) -> Iterator[None]:
    """Set ``namespace[key]`` inside the block, and put back what was there, if anything."""
    missing = object()
    before = namespace.get(key, missing)
    namespace[key] = value
    try:
        yield
    finally:
        if before is missing:
            del namespace[key]
        else:
            namespace[key] = before


@contextmanager
def _one_numba_thread() -> Iterator[None]:
    """mmdet3d's 3D kernel is parallel over the boxes of a block: for those of one image, waking threads costs more.

    numba and torch share one OpenMP, and numba leaves it with its own number of threads; torch's is put back, or every
    training step after the first validation runs on all cores, whatever ``OMP_NUM_THREADS`` says, and many times
    slower where those are busy.
    """
    import numba

    # In this order: asking numba already starts its threads.
    torch_threads = torch.get_num_threads()
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(threads)
        torch.set_num_threads(torch_threads)


@functools.cache
def _evaluation_module() -> types.ModuleType:
    """Import mmdet3d's evaluation and let numba keep the machine code of its kernels where it finds a directory."""
    module = importlib.import_module(EVAL_MODULE)
    for member in vars(module).values():
        if hasattr(member, 'enable_caching'):
            try:
                member.enable_caching()
            except RuntimeError:
                # No writable cache directory: compiled once per process, as mmdet3d has it.
                break
    return module
