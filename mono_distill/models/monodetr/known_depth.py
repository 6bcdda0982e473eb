"""The depth map that a teacher of MonoDETR is given in place of the predicted one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mono_distill.models.task_modules.monodetr_boxes import edges_to_corners
from mono_distill.models.task_modules.object_slots import host_values
from mono_distill.ops.box_depth_map import box_depth_map


def object_depth_map(targets: Mapping[str, Tensor], size: tuple[int, int], far: float) -> Tensor:
    """Paint every annotated 2D box with the depth of its object, the nearest one on top.

    This is the mean depth of a depth branch that is certain of the class the depth loss asks for: the background and
    everything beyond the range have the far end of the range.

    Args:
        targets: Output of :class:`MonoDETRTargetEncoder`.
        size: (h, w) of the map.
        far: Far end of the depth range, metres.

    Returns:
        (B, h, w) metres.

    Example:
        >>> box = torch.tensor([[[0.5, 0.5, 0.25, 0.25, 0.5, 0.0]]])
        >>> targets = dict(boxes=box, depth=torch.tensor([[9.0]]), mask_2d=torch.tensor([[True]]))
        >>> object_depth_map(targets, (2, 4), 60.0)
        tensor([[[60.,  9.,  9., 60.],
                 [60., 60., 60., 60.]]])
    """
    height, width = size
    corners = edges_to_corners(targets['boxes'])
    corners = corners * host_values([width, height, width, height], like=corners)
    depth = box_depth_map(corners, targets['depth'], targets['mask_2d'], size)
    return torch.where(depth > 0, depth.clamp(max=far), far)
