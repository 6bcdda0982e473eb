"""Pure-PyTorch forms of the compiled ops of mmcv that this package's models call.

Each module holds one op (forward and backward), with the name and the signature of the function in ``mmcv._ext``, so
that the unmodified Python code in ``mmcv.ops`` runs on top of them, on any device. On a CPU those for rotated boxes are
faster than the compiled ones and the others a few times slower; for training on a GPU the compiled ops stay the choice.

This file imports nothing: the ops (and with them torch) are loaded on first use.
"""

from __future__ import annotations

LITE_OPS: dict[str, str] = {
    'box_iou_rotated': f'{__name__}.box_iou_rotated',
    'dynamic_voxelize_forward': f'{__name__}.voxelize',
    'get_compiler_version': f'{__name__}.info',
    'get_compiling_cuda_version': f'{__name__}.info',
    'hard_voxelize_forward': f'{__name__}.voxelize',
    'ms_deform_attn_backward': f'{__name__}.ms_deform_attn',
    'ms_deform_attn_forward': f'{__name__}.ms_deform_attn',
    'nms': f'{__name__}.nms',
    'nms_rotated': f'{__name__}.nms_rotated',
    'roi_align_backward': f'{__name__}.roi_align',
    'roi_align_forward': f'{__name__}.roi_align',
    'sigmoid_focal_loss_backward': f'{__name__}.sigmoid_focal_loss',
    'sigmoid_focal_loss_forward': f'{__name__}.sigmoid_focal_loss',
}
"""Name of an op in ``mmcv._ext`` and the module that holds its pure-PyTorch form."""
