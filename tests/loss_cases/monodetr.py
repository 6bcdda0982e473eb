"""Losses of MonoDETR."""

from __future__ import annotations

import torch

from loss_cases.case import Arguments, Case
from mono_distill.losses.ddn import ddn_loss

BATCH, BINS, SIZE = 3, 20, (5, 6)


def depth_bins_and_map(dtype=torch.float32) -> Arguments:
    """Some pixels are background, some lie beyond the last bin."""
    depth = torch.rand(BATCH, 1, *SIZE, dtype=dtype) * 65
    return dict(
        student=torch.randn(BATCH, BINS + 1, *SIZE, dtype=dtype),
        teacher=torch.where(torch.rand_like(depth) < 0.4, 0.0, depth),
    )


def nothing_known() -> Arguments:
    return dict(teacher=torch.full((BATCH, 1, *SIZE), torch.nan))


def one_object() -> Arguments:
    depth = torch.zeros(BATCH, 1, *SIZE)
    depth[:, :, 2, 1:4] = 17.0
    return dict(teacher=depth)


CASES = {
    'ddn': Case(
        ddn_loss,
        'DDNLoss',
        depth_bins_and_map,
        exact_zero=False,
        without_objects=dict(nothing_known=nothing_known),
        one_object=one_object,
        nan_teacher='ignored',
    ),
    'ddn_official': Case(
        ddn_loss,
        'DDNLoss',
        depth_bins_and_map,
        dict(smoothing=1e-6),
        exact_zero=False,
        without_objects=dict(nothing_known=nothing_known),
        one_object=one_object,
        nan_teacher='ignored',
    ),
}
