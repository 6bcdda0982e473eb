"""Differentiable ranks: the L2-regularised soft rank of Blondel et al. (2020)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mono_distill.ops._compiled import as_arrays, can_compile_ranks, has_memory, rank_kernels, rank_slope_kernels
from mono_distill.ops._soft_rank_by_joins import can_join, soft_rank_by_joins
from mono_distill.ops.isotonic import isotonic_pools
from mono_distill.utils.errors import ConfigError, ShapeError


def soft_rank(values: Tensor, eps: float | Tensor = 1.0) -> Tensor:
    r"""Rank every row softly, ascending from 1 to n.

    The soft rank is the Euclidean projection of ``values / eps`` onto the convex hull of all permutations of
    ``1 .. n`` (`Fast Differentiable Sorting and Ranking <https://arxiv.org/abs/2002.08871>`_, eq. 6 with
    :math:`\Psi = Q`, in ascending order as the package torchsort has it). It is piecewise linear: entries fall into
    pools, and an entry of pool :math:`P` gets

    .. math:: r_i = x_i / \varepsilon - \operatorname{mean}_P(x / \varepsilon) + \operatorname{mean}_P(\text{hard rank})

    The gradient is therefore exact with the pools held fixed: the incoming gradient minus its mean over the pool,
    divided by ``eps``. Two regimes bound the behaviour:

    * ``eps`` tends to 0: every pool is one entry or one group of ties; hard ranks, ties averaged, zero gradient.
    * ``max - min <= eps * n / 2`` (sufficient): one pool; the ranks are ``x / eps`` shifted to the mean
      ``(n + 1) / 2``, a linear map. Such rows are recognised without sorting. In general one pool holds the row if and
      only if no mean of its top k exceeds the mean of the rest by more than ``eps * n / 2``.

    All arithmetic is in float64. Hand in float64 when ``eps`` is large: a float32 rank near 1e5 cannot carry the
    deviations of order ``x / eps`` that remain in the linear regime.

    On the CPU a radix sort and a sequential walk compiled by numba are used, where numba can be imported; on a GPU the
    pools are joined by a Triton kernel, where Triton can be imported, and the host does not wait. Elsewhere they are
    found by rounds of tensor operations (:func:`mono_distill.ops.isotonic_pools`), which take ten times as long and
    more and read sizes back to the host. All have the same results up to rounding, and derivatives of any order,
    forward and reverse. The first call compiles for some seconds, once per machine where the cache can be written.
    None can be captured by ``torch.compile(fullgraph=True)``.

    Args:
        values: ``(R, n)``, ranked row by row.
        eps: Regularisation strength in the units of ``values``: a positive number, or a tensor ``(R, 1)``.

    Returns:
        ``(R, n)`` of the dtype of ``values``.

    Raises:
        ShapeError: ``values`` is not two-dimensional, or ``eps`` is a tensor of another shape.
        ConfigError: ``eps`` is a number that is not positive.

    Example:
        >>> soft_rank(torch.tensor([[0.3, 9.0, 1.1]]), eps=0.1)
        tensor([[1., 3., 2.]])
        >>> soft_rank(torch.tensor([[0.3, 9.0, 1.1]]), eps=100.0)
        tensor([[1.9683, 2.0553, 1.9763]])
    """
    if values.dim() != 2:
        raise ShapeError(
            f'soft_rank: expected values of shape (R, n), got {tuple(values.shape)}; flatten them to rows.'
        )
    if isinstance(eps, Tensor) and eps.numel() != 1 and eps.shape != (values.shape[0], 1):
        raise ShapeError(
            f'soft_rank: expected eps to be a number or of shape ({values.shape[0]}, 1), got {tuple(eps.shape)}.'
        )
    if not isinstance(eps, Tensor) and not eps > 0:
        raise ConfigError(f'soft_rank: eps must be positive, got {eps}.')
    if values.numel() == 0:
        return values
    if can_join(values):
        return soft_rank_by_joins(values, eps)
    if not can_compile_ranks(values):
        return _soft_rank_by_rounds(values, eps)
    wide_eps = torch.as_tensor(eps, dtype=torch.float64).reshape(-1, 1).expand(values.shape[0], 1)
    single = values.dtype == torch.float32
    ranks: Tensor = _CompiledSoftRank.apply(values if single else values.double(), wide_eps)[0]
    return ranks.to(values.dtype)


class _CompiledSoftRank(torch.autograd.Function):
    """Soft ranks by compiled kernels, of ``values`` (R, n) in float32 or float64 and ``eps`` (R, 1) in float64.

    The ranks come with the pool of each entry (R, n) and the entries per pool (P,), both int32.
    """

    @staticmethod
    def forward(values: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ranks, pool = _empty_like(values), _empty_like(values, torch.int32)
        sizes = torch.empty(values.numel(), dtype=torch.int32)
        count = rank_kernels().soft_rank_rows(*as_arrays(values, eps.reshape(-1), ranks, pool, sizes))
        return ranks, pool, sizes[:count].clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        _, pool, sizes = output
        ctx.mark_non_differentiable(pool, sizes)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs, pool, sizes)
        ctx.save_for_forward(*inputs, pool, sizes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, *_: None) -> tuple[Tensor | None, Tensor | None]:
        if gradient is None:
            return None, None
        values, eps, pool, sizes = ctx.saved_tensors
        if torch.is_grad_enabled() or not has_memory(gradient):
            # Somebody will differentiate once more, or a batch of gradients is handed through at once.
            slope = _deviation(gradient, pool, sizes) / eps
            # The slopes of a pool sum to zero: a shift of the row changes nothing but rounding.
            centred = values.double() - values.detach().mean(1, keepdim=True, dtype=torch.float64)
            return slope.to(values.dtype), -(slope * centred).sum(1, keepdim=True) / eps
        kernels = rank_slope_kernels()
        slope = _empty_like(values)
        kernels.deviation_rows(*as_arrays(gradient, eps.reshape(-1), pool, sizes, slope))
        if not ctx.needs_input_grad[1]:
            return slope, None
        moment = torch.empty(eps.shape[0], dtype=torch.float64)
        kernels.moment_rows(*as_arrays(values, slope, moment))
        return slope, -moment.view_as(eps) / eps

    @staticmethod
    def jvp(ctx: Any, values_tangent: Tensor | None, eps_tangent: Tensor | None) -> tuple[Tensor, None, None]:
        values, eps, pool, sizes = ctx.saved_tensors
        tangent = torch.zeros_like(values, dtype=torch.float64)
        if values_tangent is not None:
            tangent = tangent + _deviation(values_tangent, pool, sizes) / eps
        if eps_tangent is not None:
            tangent = tangent - _deviation(values, pool, sizes) * eps_tangent / eps.square()
        return tangent.to(values.dtype), None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], values: Tensor, eps: Tensor) -> tuple[Any, Any]:
        batched = [
            x.expand(info.batch_size, *x.shape) if dim is None else x.movedim(dim, 0)
            for x, dim in zip((values, eps), in_dims, strict=True)
        ]
        ranks, pool, sizes = _CompiledSoftRank.apply(*(x.flatten(0, 1) for x in batched))
        return (ranks.view(batched[0].shape), pool.view(batched[0].shape), sizes), (0, 0, None)


def _empty_like(values: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    return torch.empty_like(values, dtype=dtype, memory_format=torch.contiguous_format)


def _deviation(values: Tensor, pool: Tensor, sizes: Tensor) -> Tensor:
    """Each entry of ``values`` (R, n) minus the mean of its pool, in float64, by tensor operations."""
    wide, pool = values.double(), pool.reshape(-1).long()
    mean = wide.new_zeros(sizes.shape).index_add(0, pool, wide.reshape(-1)) / sizes
    return wide - mean[pool].view_as(wide)


def _soft_rank_by_rounds(values: Tensor, eps: float | Tensor) -> Tensor:
    """Soft ranks by tensor operations on any device."""
    wide = values.double()
    # A shift of the row cancels in exact arithmetic; without it the division by a small eps would cost digits.
    wide = (wide - wide.detach().mean(1, keepdim=True)) / eps
    pool, sizes, mean_rank = _pools(wide.detach())
    # In this order a single entry has its rank exactly, whatever the size of x / eps.
    ranks = _deviation(wide, pool, sizes) + mean_rank[pool].view_as(wide)
    return ranks.to(values.dtype)


@torch.no_grad()
def _pools(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pool of each entry (R*n,), entries per pool (P,) and mean hard rank per pool (P,)."""
    rows, n = values.shape
    # NaN compares false and takes the general path, which hands it on.
    if bool((values.amax(1) - values.amin(1) <= n / 2).all()):
        pool = torch.arange(rows, device=values.device).repeat_interleave(n)
        return pool, values.new_full((rows,), n), values.new_full((rows,), (n + 1) / 2)
    ordered, order = values.sort(dim=1, descending=True)
    ranks = torch.arange(n, 0, -1, dtype=values.dtype, device=values.device).expand(rows, n)
    pool_of_place = isotonic_pools(ordered - ranks).flatten().cumsum(0) - 1
    pool = torch.empty_like(order).scatter_(1, order, pool_of_place.view(rows, n)).flatten()
    sizes = torch.bincount(pool_of_place).to(values.dtype)
    mean_rank = torch.zeros_like(sizes).index_add(0, pool_of_place, ranks.flatten()) / sizes
    return pool, sizes, mean_rank
