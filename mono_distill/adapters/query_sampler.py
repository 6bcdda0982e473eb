"""Features of a bird's-eye-view map at the positions of object queries (STXD, NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.adapters.sampled_projection import project_samples
from mono_distill.ops.point_sampler import Range, check_range, sample_bev
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Layers = Literal['last', 'all']


@MODELS.register_module()
class BEVQuerySampler(nn.Module):
    """Reads a map where a student's queries put their objects.

    For :class:`mono_distill.losses.CrossCorrelationLoss` and :class:`mono_distill.losses.TemporalSimilarityLoss`, once
    for the student's and once for the teacher's map, both at the student's queries, so that slot n is the same place on
    both sides. UVTR and BEVDistill, the frameworks of STXD's students, sample at the detached centres of the 900
    queries of every decoder layer; STXD does not say which layers. The gradient goes to the map and not to the points.

    Past maps of a teacher, (B, K, C, H, W), are read at the same coordinates, without regard to the motion of the car:
    what :class:`TemporalSimilarityLoss` compares with need not be the same places.

    With ``project`` the features go through a linear layer, which is the same as a 1x1 convolution of the map before:
    for a student with other channels than its teacher. A deeper adapter would take the decorrelation of channels, which
    the losses ask for, off the student.

    Args:
        x_range: x of the left edge of column 0 and of the right edge of the last column of the map, in metres.
        y_range: The same for the rows.
        layers: Points of the ``'last'`` decoder layer or of ``'all'``, one after the other.
        project: Channels before and after the linear layer; ``None``: no layer.

    Raises:
        ConfigError: A range is empty or ``layers`` is unknown.
        ShapeError: On call: map and points do not fit.

    Example:
        >>> sample = BEVQuerySampler(x_range=(-8.0, 8.0), y_range=(-8.0, 8.0), layers='all')
        >>> queries = [dict(points=torch.zeros(2, 5, 2))] * 3
        >>> sample(torch.randn(2, 4, 16, 16), queries).shape, sample(torch.randn(2, 3, 4, 16, 16), queries).shape
        (torch.Size([2, 15, 4]), torch.Size([2, 3, 15, 4]))
    """

    def __init__(
        self, x_range: Range, y_range: Range, *, layers: Layers = 'last', project: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        check_range(x_range, 'BEVQuerySampler: x_range')
        check_range(y_range, 'BEVQuerySampler: y_range')
        if layers not in get_args(Layers):
            raise ConfigError(f"BEVQuerySampler: layers must be 'last' or 'all', got '{layers}'.")
        # Configs hold lists.
        self.x_range, self.y_range = (x_range[0], x_range[1]), (y_range[0], y_range[1])
        self.layers: Layers = layers
        self.linear = nn.Linear(project[0], project[1]) if project is not None else None

    def forward(self, features: Tensor, queries: Tensor | Mapping[str, Tensor] | Sequence[Any]) -> Tensor:
        """Sample the map.

        Args:
            features: Map ``(B, C, H, W)``, H along y and W along x; or ``(B, K, C, H, W)``.
            queries: Points ``(B, Q, 2)`` x, y in metres; or a dictionary that holds them as ``points``; or such of
                every decoder layer, the last one last.

        Returns:
            ``(B, N, C)`` or ``(B, K, N, C)``; zeros (before the linear layer) at points outside of the map.
        """
        points = self._points(queries)
        if features.dim() not in (4, 5) or points.dim() != 3 or features.shape[0] != points.shape[0]:
            raise ShapeError(
                f'BEVQuerySampler: features {tuple(features.shape)} and points {tuple(points.shape)}; expected '
                '(B, C, H, W) or (B, K, C, H, W), and (B, Q, 2).'
            )
        frames = 1 if features.dim() == 4 else features.shape[1]
        maps = features if features.dim() == 4 else features.flatten(0, 1)
        places = points.repeat_interleave(frames, dim=0)
        sampled = sample_bev(maps, places, x_range=self.x_range, y_range=self.y_range)
        sampled = project_samples(sampled, self.linear, owner='BEVQuerySampler')
        return sampled if features.dim() == 4 else sampled.unflatten(0, features.shape[:2])

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'x_range={self.x_range}, y_range={self.y_range}, layers={self.layers!r}'

    def _points(self, queries: Tensor | Mapping[str, Tensor] | Sequence[Any]) -> Tensor:
        """Points (B, N, 2) of the layers that count, without gradient."""
        layers = [queries] if isinstance(queries, (Tensor, Mapping)) else list(queries)
        if not layers:
            raise ShapeError('BEVQuerySampler: queries hold no decoder layer.')
        chosen = layers if self.layers == 'all' else layers[-1:]
        return torch.cat([layer['points'] if isinstance(layer, Mapping) else layer for layer in chosen], dim=1).detach()
