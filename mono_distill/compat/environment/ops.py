"""Which tier is installed, and whether the ops of mmcv run on the devices of this machine."""

from __future__ import annotations

import importlib
from types import ModuleType

from mono_distill.compat.environment.check import Check
from mono_distill.compat.environment.packages import installed_versions
from mono_distill.compat.mmcv_lite import FULL_TIER_CURE, has_compiled_ops, install

_REBUILD = "pip uninstall -y mmcv, then 'make setup-full' (builds it for the torch that is installed)"


def check_ops() -> list[Check]:
    """Name the tier and run one op of mmcv on each device."""
    if not installed_versions(('mmcv', 'mmcv-lite')):
        value = 'none: mmcv is not installed, so there are losses and kernels but no detectors'
        return [Check('tier', value, 'warn', "run 'make setup', or 'make setup-full' for compiled ops")]
    install()
    compiled = has_compiled_ops()
    try:
        torch, ops = importlib.import_module('torch'), importlib.import_module('mmcv.ops')
    except (ImportError, OSError, AttributeError) as error:
        return [Check('tier', _import_failure(error, compiled), 'broken', _REBUILD if compiled else "run 'make setup'")]
    gpu = bool(torch.cuda.is_available())
    devices = ['cpu', *(['cuda'] if gpu else [])]
    return [describe_tier(compiled, ops, gpu=gpu), *(run_op(ops, torch, device) for device in devices)]


def describe_tier(compiled: bool, ops: ModuleType, *, gpu: bool) -> Check:
    """Name the tier; on a machine with a GPU anything but ops compiled for CUDA is worth a warning.

    Args:
        compiled: Whether mmcv has compiled ops.
        ops: ``mmcv.ops``.
        gpu: Whether torch can use a GPU.
    """
    if not compiled:
        if gpu:
            value = 'lite, on a machine with a GPU: no deformable or sparse convolution, other ops slower'
            return Check('tier', value, 'warn', FULL_TIER_CURE)
        return Check('tier', 'lite (mmcv-lite; the ops that are needed run in pure PyTorch)')
    cuda = ops.get_compiling_cuda_version()
    if gpu and cuda == 'not available':
        return Check('tier', 'full, but the ops are compiled for the CPU only', 'warn', _REBUILD)
    return Check('tier', 'full (mmcv with compiled ops, CUDA: ' + cuda + ')')


def run_op(ops: ModuleType, torch: ModuleType, device: str) -> Check:
    """Run non-maximum suppression on two boxes.

    Args:
        ops: ``mmcv.ops``.
        torch: torch.
        device: Name of a device.
    """
    name = f'ops on {device}'
    try:
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.9]], device=device)
        kept = ops.nms(boxes, torch.tensor([0.5, 0.9], device=device), 0.5)[1].tolist()
    except (RuntimeError, TypeError, AttributeError) as error:
        return Check(name, f'fail: {str(error).splitlines()[0]}', 'broken', _REBUILD)
    if kept != [1]:
        return Check(name, f'give a wrong result ({kept} instead of [1])', 'broken', _REBUILD)
    return Check(name, 'run')


def _import_failure(error: Exception, compiled: bool) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if compiled and ('undefined symbol' in reason or 'cannot open shared object' in reason):
        return f'full, but mmcv was compiled for another torch: {reason}'
    return f'mmcv.ops cannot be imported: {reason}'
