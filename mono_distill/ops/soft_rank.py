"""Differentiable ranks: the L2-regularised soft rank of Blondel et al. (2020)."""

from __future__ import annotations

import torch
from torch import Tensor

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
    deviations of order ``x / eps`` that remain in the linear regime. The size of the pools depends on the data, so the
    operator reads sizes back to the host and cannot be captured by ``torch.compile(fullgraph=True)``.

    Args:
        values: ``(R, n)``, ranked row by row.
        eps: Regularisation strength in the units of ``values``: a positive number, or a tensor ``(R, 1)``.

    Returns:
        ``(R, n)`` of the dtype of ``values``.

    Raises:
        ShapeError: ``values`` is not two-dimensional.
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
    if not isinstance(eps, Tensor) and not eps > 0:
        raise ConfigError(f'soft_rank: eps must be positive, got {eps}.')
    if values.shape[1] == 0:
        return values
    wide = values.double()
    # A shift of the row cancels in exact arithmetic; without it the division by a small eps would cost digits.
    wide = (wide - wide.detach().mean(1, keepdim=True)) / eps
    pool, sizes, mean_rank = _pools(wide.detach())
    mean_value = wide.new_zeros(sizes.shape).index_add(0, pool, wide.flatten()) / sizes
    ranks = wide + (mean_rank - mean_value)[pool].view_as(wide)
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
