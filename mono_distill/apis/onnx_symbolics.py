"""ONNX forms of operators that PyTorch's exporter lacks, or whose form there fixes the number of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.onnx import symbolic_helper


@contextmanager
def exportable_operators(opset: int) -> Iterator[None]:
    """Teach ``torch.onnx.export`` these operators while the context lasts."""
    for name, symbolic in _SYMBOLICS.items():
        torch.onnx.register_custom_op_symbolic(name, symbolic, opset)
    try:
        yield
    finally:
        for name in _SYMBOLICS:
            torch.onnx.unregister_custom_op_symbolic(name, opset)


def _logaddexp(g: Any, one: Any, other: Any) -> Any:
    """Write log(e^a + e^b) as max(a, b) + softplus(-|a - b|), which does not overflow."""
    apart = g.op('Neg', g.op('Abs', g.op('Sub', one, other)))
    return g.op('Add', g.op('Max', one, other), g.op('Softplus', apart))


@symbolic_helper.parse_args('v', 'i', 'v')
def _unflatten(g: Any, value: Any, dim: int, sizes: Any) -> Any:
    """Write ``Tensor.unflatten`` as a Reshape that copies the dimensions in front.

    PyTorch's own form computes them from the shape, from which the exporter concludes that they are those of the
    example: the graph would take batches of that size only.
    """
    rank = symbolic_helper._get_tensor_rank(value)
    if rank is None:
        return symbolic_helper._unimplemented('unflatten', 'a tensor of unknown rank', value)
    dim = dim % rank
    known = symbolic_helper._maybe_get_const(sizes, 'is')
    if symbolic_helper._is_packed_list(sizes):
        parts = [symbolic_helper._reshape_helper(g, part, [1]) for part in symbolic_helper._unpack_list(sizes)]
        sizes = g.op('Concat', *parts, axis_i=0)
    # 0 copies a dimension, -1 is what is left; the exporter's own inference of shapes wants one -1.
    front = [0] * dim
    if dim and not (isinstance(known, list) and -1 in known):
        front[0] = -1
    pieces = [g.op('Constant', value_t=torch.tensor(front, dtype=torch.int64))] if dim else []
    pieces.append(sizes)
    if dim < rank - 1:
        pieces.append(_slice(g, g.op('Shape', value), dim + 1, rank))
    shape = g.op('Concat', *pieces, axis_i=0) if len(pieces) > 1 else sizes
    return symbolic_helper._reshape_helper(g, value, shape)


def _slice(g: Any, values: Any, start: int, end: int) -> Any:
    return symbolic_helper._slice_helper(g, values, axes=[0], starts=[start], ends=[end])


_SYMBOLICS: dict[str, Callable[..., Any]] = {'aten::logaddexp': _logaddexp, 'aten::unflatten': _unflatten}
