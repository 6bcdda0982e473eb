"""Multi-scale deformable attention: the stand-ins of the compiled op, and mmcv's module on top."""

from __future__ import annotations

import pytest
import torch

from mono_distill.compat.lite_ops.ms_deform_attn import ms_deform_attn_backward, ms_deform_attn_forward

SHAPES = torch.tensor([[6, 8], [3, 4]])
START = torch.tensor([0, 48])


def random_inputs(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Features of two levels, two heads; sampling points up to a little outside."""
    value = torch.randn(2, 60, 2, 4, dtype=dtype)
    locations = torch.rand(2, 5, 2, 2, 3, 2, dtype=dtype) * 1.2 - 0.1
    weights = torch.rand(2, 5, 2, 2, 3, dtype=dtype)
    return [value, locations, weights]


def forward(value, locations, weights):
    return ms_deform_attn_forward(value, SHAPES, START, locations, weights, im2col_step=64)


def test_a_point_at_a_pixel_centre_takes_that_pixel():
    value, _, _ = random_inputs()
    locations = torch.tensor([(2 + 0.5) / 8, (4 + 0.5) / 6], dtype=torch.float64).expand(2, 1, 2, 2, 1, 2)
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None].expand(2, 1, 2, 2, 1)
    torch.testing.assert_close(forward(value, locations, weights)[:, 0], value[:, 4 * 8 + 2].flatten(1))


def test_gradients_are_those_of_the_forward_pass():
    inputs = random_inputs()
    upstream = torch.randn(2, 5, 8, dtype=torch.float64)
    gradients = [torch.zeros_like(tensor) for tensor in inputs]
    ms_deform_attn_backward(
        inputs[0],
        SHAPES,
        START,
        inputs[1],
        inputs[2],
        upstream,
        gradients[0],
        gradients[1],
        gradients[2],
        im2col_step=64,
    )
    step = 1e-6
    for tensor, gradient in zip(inputs, gradients, strict=True):
        direction = torch.randn_like(tensor)
        shifted = [[t + s * direction if t is tensor else t for t in inputs] for s in (step, -step)]
        numeric = sum(((forward(*shifted[0]) - forward(*shifted[1])) * upstream).flatten()) / (2 * step)
        assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-5, abs=1e-6)


def test_the_function_of_mmcv_runs_on_top():
    """mmcv calls the op on a GPU only; its autograd function is the same on any device when the stand-in is used."""
    from mmcv.ops import multi_scale_deform_attn as mmcv_module

    if not torch.cuda.is_available() and type(mmcv_module.ext_module).__name__ != 'StandIn':
        pytest.skip('compiled mmcv has this op for the GPU only')
    inputs = [tensor.requires_grad_() for tensor in random_inputs()]
    output = mmcv_module.MultiScaleDeformableAttnFunction.apply(inputs[0], SHAPES, START, inputs[1], inputs[2], 64)
    expected = mmcv_module.multi_scale_deformable_attn_pytorch(inputs[0], SHAPES, inputs[1], inputs[2])
    torch.testing.assert_close(output, expected)
    actual = torch.autograd.grad(output.square().sum(), inputs)
    wanted = torch.autograd.grad(expected.square().sum(), inputs)
    for gradient, reference in zip(actual, wanted, strict=True):
        torch.testing.assert_close(gradient, reference)


def test_the_module_of_mmcv_runs():
    from mmcv.ops import MultiScaleDeformableAttention

    attention = MultiScaleDeformableAttention(embed_dims=8, num_heads=2, num_levels=2, batch_first=True)
    output = attention(
        torch.randn(1, 5, 8),
        value=torch.randn(1, 60, 8),
        reference_points=torch.rand(1, 5, 2, 2),
        spatial_shapes=SHAPES,
        level_start_index=START,
    )
    assert output.shape == (1, 5, 8)
    output.sum().backward()
    assert attention.value_proj.weight.grad.abs().sum() > 0
