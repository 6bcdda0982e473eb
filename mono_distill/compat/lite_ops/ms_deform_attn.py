"""Multi-scale deformable attention on any device.

On the CPU mmcv itself falls back to :func:`mmcv.ops.multi_scale_deform_attn.multi_scale_deformable_attn_pytorch`; on a
GPU it calls the compiled op, for which these two stand in on top of the same function.
"""

from __future__ import annotations

import importlib

import torch
from torch import Tensor


def _attend(value: Tensor, spatial_shapes: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
    # Looked up when called: mmcv imports this stand-in while it imports that module.
    module = importlib.import_module('mmcv.ops.multi_scale_deform_attn')
    return module.multi_scale_deformable_attn_pytorch(value, spatial_shapes.tolist(), locations, weights)


@torch.no_grad()
def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Sample and sum features of several levels; the form of ``mmcv._ext.ms_deform_attn_forward``.

    Args:
        value: (B, sum of H * W, heads, C) features of all levels.
        value_spatial_shapes: (levels, 2) int64 (H, W) of each level.
        value_level_start_index: Not used; the levels follow each other.
        sampling_locations: (B, queries, heads, levels, points, 2) as x, y in [0, 1].
        attention_weights: (B, queries, heads, levels, points).
        im2col_step: Not used.

    Returns:
        (B, queries, heads * C).
    """
    return _attend(value, value_spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients of the three inputs; the form of ``mmcv._ext.ms_deform_attn_backward``.

    Args:
        value: As in the forward pass.
        value_spatial_shapes: As in the forward pass.
        value_level_start_index: Not used.
        sampling_locations: As in the forward pass.
        attention_weights: As in the forward pass.
        grad_output: (B, queries, heads * C) gradient of the output.
        grad_value: Receives the gradient of ``value``.
        grad_sampling_loc: Receives the gradient of ``sampling_locations``.
        grad_attn_weight: Receives the gradient of ``attention_weights``.
        im2col_step: Not used.
    """
    inputs = [tensor.detach().requires_grad_() for tensor in (value, sampling_locations, attention_weights)]
    with torch.enable_grad():
        output = _attend(inputs[0], value_spatial_shapes, inputs[1], inputs[2])
    gradients = torch.autograd.grad(output, inputs, grad_output.view_as(output))
    for target, gradient in zip((grad_value, grad_sampling_loc, grad_attn_weight), gradients, strict=True):
        target.copy_(gradient)
