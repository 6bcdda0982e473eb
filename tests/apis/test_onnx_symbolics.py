"""Operators that PyTorch's exporter lacks, or fixes to the example's shape, in onnxruntime."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mono_distill.apis.onnx_symbolics import exportable_operators

NEEDED = 'needs onnx and onnxruntime (pip install onnx onnxruntime)'
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning', 'ignore::torch.jit.TracerWarning')


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def session_of(function, inputs, path):
    pytest.importorskip('onnx', reason=NEEDED)
    runtime = pytest.importorskip('onnxruntime', reason=NEEDED)
    names = [f'in{index}' for index in range(len(inputs))]
    with exportable_operators(17):
        torch.onnx.export(
            Function(function),
            inputs,
            str(path),
            input_names=names,
            output_names=['out'],
            opset_version=17,
            dynamic_axes={name: {0: 'batch'} for name in (*names, 'out')},
            dynamo=False,
        )
    session = runtime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda *given: torch.from_numpy(
        session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})[0]
    )


def test_logaddexp_neither_overflows_nor_loses_digits(tmp_path):
    one = torch.tensor([0.0, 500, -500, 30, -1e-3, 3])
    other = torch.tensor([0.0, 499, -400, -30, 1e-3, 3])
    run = session_of(torch.logaddexp, (one, other), tmp_path / 'a.onnx')
    torch.testing.assert_close(run(one, other), torch.logaddexp(one, other))


@pytest.mark.parametrize(
    'function',
    [
        lambda x: x.unflatten(-1, (2, -1)),
        lambda x: x.unflatten(2, (2, 3)),
        lambda x: x.unflatten(1, (2, 2)),
        lambda x: x.unflatten(-1, (2, 3)).transpose(1, 2).flatten(2),
        lambda x: x.flatten(0, 1).unflatten(0, (x.shape[0], 4)),
        lambda x: x.unflatten(1, (2, 2)).unflatten(0, (x.shape[0], 1)),
    ],
    ids=['with a rest', 'last', 'middle', 'read again', 'first', 'first of several'],
)
def test_unflatten_takes_batches_of_another_size(tmp_path, function):
    run = session_of(function, (torch.rand(2, 4, 6),), tmp_path / 'a.onnx')
    for batch in (2, 1, 5):
        values = torch.rand(batch, 4, 6)
        torch.testing.assert_close(run(values), function(values))


def test_the_operators_are_taught_for_the_context_only(tmp_path):
    pytest.importorskip('onnx', reason=NEEDED)
    values = (torch.zeros(2), torch.zeros(2))
    with exportable_operators(17):
        pass
    # PyTorch remembers the name without a form, hence its second error.
    with pytest.raises((RuntimeError, ValueError)):
        torch.onnx.export(Function(torch.logaddexp), values, str(tmp_path / 'a.onnx'), opset_version=17, dynamo=False)
