"""Uncertainty of the depth of every object, from the queries of a DETR-type head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.masked import as_float32
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

Groups = Literal['first', 'mean']

_NAME = 'matched_log_scale'
# Of objects without a query: confidence 0, and still a finite square in single precision.
UNKNOWN = 20.0


def matched_log_scale(
    depth: Tensor, assignment: Mapping[str, Tensor], targets: Mapping[str, Tensor], *, groups: Groups = 'first'
) -> Tensor:
    r"""Read the log scale of the query that the last decoder layer matched to each object.

    The losses of MonoSTL take :math:`\log \sigma` of every object. MonoDETR predicts it per query, and its training has
    matched the queries with the objects already: tap the head's ``assigner`` and nothing is matched again. In training
    every group of queries has a query for each object. ``groups='first'`` (default) reads the group that inference
    runs; ``'mean'`` averages :math:`\log \sigma` over the groups that found the object. A frozen teacher runs one group
    only, for which both are the same; it matches in the mode ``'loss'``.

    An object that no query was matched to, because there are more objects than queries in a group or because the
    detector leaves it out, has :math:`\log \sigma = 20`: nothing is known of it, so that its confidence is 0.

    Args:
        depth: ``(L, B, Q, C)``, the ``depth`` of :class:`mono_distill.models.monodetr.MonoDETRHead`, log scale in the
            last channel.
        assignment: Output of the head's assigner for G groups and N slots: ``queries (L, B, G, N)`` int64 and ``mask
            (L, B, G, N)`` bool, where there is one.
        targets: ``mask_2d (B, N)`` bool, such as that of :func:`mono_distill.targets.gt_boxes`.
        groups: ``'first'`` or ``'mean'``.

    Returns:
        :math:`\log \sigma` ``(B, N)``, detached, 0 where there is no object.

    Raises:
        ShapeError: The inputs do not fit together.
        ConfigError: One lacks an entry, or ``groups`` is unknown.

    Example:
        >>> depth = torch.tensor([[[[20.0, 0.5], [30.0, -0.5], [40.0, 1.5]]]])
        >>> assignment = dict(queries=torch.tensor([[[[2, 0]]]]), mask=torch.tensor([[[[True, False]]]]))
        >>> matched_log_scale(depth, assignment, dict(mask_2d=torch.tensor([[True, False]])))
        tensor([[1.5000, 0.0000]])
    """
    _check_groups(groups)
    if depth.dim() != 4:
        raise ShapeError(f'{_NAME}: depth has shape {tuple(depth.shape)}, expected (L, B, Q, C).')
    layers, batch = depth.shape[:2]
    (valid,) = require_tensors(targets, dict(mask_2d=(batch, None)), owner=f'{_NAME}: targets')
    shape = (layers, batch, None, valid.shape[1])
    queries, found = require_tensors(assignment, dict(queries=shape, mask=shape), owner=f'{_NAME}: assignment')
    used = slice(None) if groups == 'mean' else slice(0, 1)
    queries, found = queries[-1][:, used], found[-1][:, used]
    log_scales = as_float32(depth[-1, ..., -1].detach())
    values = log_scales.gather(1, queries.flatten(1)).view(queries.shape)
    # Slots without a query point to the first one, which may hold anything.
    mean = torch.where(found, values, 0.0).sum(1) / found.sum(1).clamp(min=1)
    return torch.where(valid, torch.where(found.any(1), mean, UNKNOWN), 0.0)


def _check_groups(groups: str) -> None:
    if groups not in get_args(Groups):
        raise ConfigError(f'{_NAME}: unknown groups {groups!r}; {did_you_mean(groups, get_args(Groups))}')


@MODELS.register_module()
class MatchedLogScale(nn.Module):
    """Module form of :func:`matched_log_scale`, for the ``targets`` of a distiller.

    Args:
        groups: ``'first'``: the group of queries that inference runs; ``'mean'``: all of them.

    Raises:
        ConfigError: ``groups`` is unknown.
    """

    def __init__(self, groups: Groups = 'first') -> None:
        super().__init__()
        _check_groups(groups)
        self.groups: Groups = groups

    def forward(self, depth: Tensor, assignment: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`matched_log_scale`."""
        return matched_log_scale(depth, assignment, targets, groups=self.groups)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'groups={self.groups!r}'
