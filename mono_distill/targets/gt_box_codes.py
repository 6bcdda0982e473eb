"""Annotated 3D objects of a batch in padded tensors, in the code that DETR3D-type heads regress, as a target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.registry import MODELS


@MODELS.register_module()
class GTBoxCodes(nn.Module):
    """Module form of :func:`gt_box_codes`, for the ``targets`` of a distiller; its input is ``data_samples``."""

    def forward(self, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """See :func:`gt_box_codes`."""
        return gt_box_codes(data_samples)
