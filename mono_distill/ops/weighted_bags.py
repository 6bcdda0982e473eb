"""Weighted sums of rows of a table, with a backward that is as fast as the forward."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from mono_distill.utils.errors import ShapeError


class BagPlan(NamedTuple):
    """Which row of a table goes into which bag, in the two orders that forward and backward need.

    Made by :func:`bag_plan`. Positions are int32.

    Attributes:
        rows: ``(P,)`` the row of each entry, entries ordered by bag.
        bags: ``(P,)`` the bag of each entry, ascending.
        bag_offsets: ``(bags + 1,)`` where each bag begins in ``rows``.
        row_order: ``(P,)`` the entries ordered by row.
        row_offsets: ``(rows of the table + 1,)`` where each row begins in ``row_order``.
    """

    rows: Tensor
    bags: Tensor
    bag_offsets: Tensor
    row_order: Tensor
    row_offsets: Tensor


def bag_plan(rows: Tensor, bags: Tensor, *, num_rows: int, num_bags: int, row_order: Tensor | None = None) -> BagPlan:
    """Prepare :func:`weighted_bag_sum` for fixed positions.

    Args:
        rows: ``(P,)`` integers in ``0 .. num_rows - 1``, ordered by bag.
        bags: ``(P,)`` integers in ``0 .. num_bags - 1``, ascending.
        num_rows: Rows of the table.
        num_bags: Bags; a bag without an entry sums to zero.
        row_order: ``(P,)`` what ``rows.argsort()`` would give, if it is known already.

    Raises:
        ShapeError: ``rows`` and ``bags`` are not two lists of one length.

    Example:
        >>> plan = bag_plan(torch.tensor([1, 0, 1]), torch.tensor([0, 2, 2]), num_rows=2, num_bags=3)
        >>> plan.bag_offsets, plan.row_offsets
        (tensor([0, 1, 1, 3], dtype=torch.int32), tensor([0, 1, 3], dtype=torch.int32))
    """
    if rows.dim() != 1 or rows.shape != bags.shape:
        raise ShapeError(f'bag_plan: rows {tuple(rows.shape)} and bags {tuple(bags.shape)} must be two lists (P,).')
    rows, bags = rows.int(), bags.int()
    if row_order is None:
        row_order = rows.argsort(stable=True)
    return BagPlan(
        rows,
        bags,
        _offsets(bags, num_bags),
        row_order.int(),
        _offsets(rows.index_select(0, row_order), num_rows),
    )


def weighted_bag_sum(table: Tensor, weights: Tensor, plan: BagPlan) -> Tensor:
    r"""Sum weighted rows of a table into bags: :math:`y_b = \sum_{p \in b} w_p \, t_{r(p)}`.

    The forward is ``torch.nn.functional.embedding_bag`` with ``per_sample_weights``. That function's own backward sorts
    the positions at every call and adds rows one by one; here the gradient of the table is a bag sum over the
    transposed plan, which costs what the forward costs. Sums run in a fixed order, so results are the same in every
    run. Not twice differentiable.

    Args:
        table: ``(R, C)``, floating.
        weights: ``(P,)``, of the same dtype, in the order of ``plan.rows``.
        plan: From :func:`bag_plan`.

    Returns:
        ``(bags, C)``.

    Raises:
        ShapeError: Table or weights do not fit the plan.

    Example:
        >>> plan = bag_plan(torch.tensor([1, 0, 1]), torch.tensor([0, 2, 2]), num_rows=2, num_bags=3)
        >>> weighted_bag_sum(torch.tensor([[1.0], [10.0]]), torch.tensor([1.0, 3.0, 0.5]), plan)
        tensor([[10.],
                [ 0.],
                [ 8.]])
    """
    if table.dim() != 2 or table.shape[0] != plan.row_offsets.shape[0] - 1 or weights.shape != plan.rows.shape:
        raise ShapeError(
            f'weighted_bag_sum: table {tuple(table.shape)} and weights {tuple(weights.shape)}; the plan is for '
            f'({plan.row_offsets.shape[0] - 1}, C) and ({plan.rows.shape[0]},).'
        )
    result: Tensor = _WeightedBagSum.apply(table.contiguous(), weights.contiguous(), *plan)
    return result


class _WeightedBagSum(torch.autograd.Function):
    """Forward by bag, backward by row."""

    @staticmethod
    def forward(
        ctx: Any,
        table: Tensor,
        weights: Tensor,
        rows: Tensor,
        bags: Tensor,
        bag_offsets: Tensor,
        row_order: Tensor,
        row_offsets: Tensor,
    ) -> Tensor:
        ctx.save_for_backward(table, weights, rows, bags, bag_offsets, row_order, row_offsets)
        return _bag_sum(table, weights, rows, bag_offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        table, weights, rows, bags, bag_offsets, row_order, row_offsets = ctx.saved_tensors
        grad = grads[0].contiguous()
        table_grad = weights_grad = None
        if ctx.needs_input_grad[0]:
            weights_by_row, bags_by_row = weights.index_select(0, row_order), bags.index_select(0, row_order)
            table_grad = _bag_sum(grad, weights_by_row, bags_by_row, row_offsets)
        if ctx.needs_input_grad[1]:
            # The dot products of grad[bag] with table[row]. PyTorch has no public name for this; written with gathers
            # it would hold (P, C) numbers twice and take five times as long.
            weights_grad = torch.ops.aten._embedding_bag_per_sample_weights_backward(
                grad, table, rows, bag_offsets, bags, 0
            )
        return table_grad, weights_grad, None, None, None, None, None


def _bag_sum(table: Tensor, weights: Tensor, rows: Tensor, offsets: Tensor) -> Tensor:
    return F.embedding_bag(rows, table, offsets, mode='sum', per_sample_weights=weights, include_last_offset=True)


def _offsets(ordered: Tensor, count: int) -> Tensor:
    """Where each of ``0 .. count - 1`` begins in an ascending list, and its length at the end."""
    places = torch.arange(count + 1, dtype=ordered.dtype, device=ordered.device)
    return torch.searchsorted(ordered, places, out_int32=True)
