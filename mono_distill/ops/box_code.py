"""The code in which 3D boxes are regressed and compared by DETR3D-type heads."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mono_distill.utils.errors import ConfigError, ShapeError

# Boxes that pad a list have no size; their logarithm must stay finite.
_SMALLEST = 1e-5


def encode_box_code(boxes: Tensor, point_range: Sequence[float] | None = None) -> Tensor:
    r"""Turn boxes into codes whose entries can be subtracted.

    .. math:: (x, y, z, d_1, d_2, d_3, \theta, v_x, v_y) \mapsto
        (x', y', \log d_1, \log d_2, z', \log d_3, \sin\theta, \cos\theta, v_x, v_y)

    the order of DETR3D, BEVFormer and BEVDistill (``projects/mmdet3d_plugin/core/bbox/util.py``), in which the first 8
    entries are the box and the last 2 its velocity. Sizes keep the order of the boxes: :math:`d_1` is the size along
    the heading in boxes of mmdet3d 1.x, across it in those of 0.x, for which these detectors were written. Which point
    of the box z is (bottom or centre) is up to the caller; student and teacher must agree.

    Args:
        boxes: ``(..., 9)``: centre and sizes in metres, yaw in radians, velocity in m/s; or ``(..., 7)`` without
            velocity.
        point_range: ``(x_min, y_min, z_min, x_max, y_max, z_max)`` in metres: the centre is given as a fraction of it,
            0 to 1 inside. ``None`` leaves metres.

    Returns:
        ``(..., 10)``, or ``(..., 8)`` without velocity. Sizes below 0.01 mm count as 0.01 mm.

    Raises:
        ShapeError: The boxes have another number of entries.
        ConfigError: The range is empty or does not have 6 numbers.

    Example:
        >>> box = torch.tensor([25.6, 0.0, -1.0, 4.0, 2.0, 1.0, 0.0, 3.0, 0.0])
        >>> encode_box_code(box, (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0))[[0, 1, 4, 5, 6, 7, 8]]
        tensor([0.7500, 0.5000, 0.5000, 0.0000, 0.0000, 1.0000, 3.0000])
    """
    _check_length(boxes, (9, 7), 'boxes')
    x, y, z = boxes[..., :3].split(1, dim=-1)
    if point_range is not None:
        x, y, z = ((v - low) / (high - low) for v, (low, high) in zip((x, y, z), _limits(point_range), strict=True))
    sizes = boxes[..., 3:6].clamp(min=_SMALLEST).log()
    yaw = boxes[..., 6:7]
    return torch.cat([x, y, sizes[..., :2], z, sizes[..., 2:], yaw.sin(), yaw.cos(), boxes[..., 7:]], dim=-1)


def decode_box_code(code: Tensor, point_range: Sequence[float] | None = None) -> Tensor:
    """Turn codes back into boxes; the inverse of :func:`encode_box_code`.

    Args:
        code: ``(..., 10)``, or ``(..., 8)`` without velocity. Sine and cosine need not have length 1.
        point_range: What the code was made with.

    Returns:
        ``(..., 9)`` or ``(..., 7)`` boxes with a yaw in [-pi, pi].

    Raises:
        ShapeError: The codes have another number of entries.
        ConfigError: The range is empty or does not have 6 numbers.

    Example:
        >>> boxes = torch.tensor([[10.0, -3.0, 0.5, 4.0, 2.0, 1.5, 0.25, 3.0, 1.0]])
        >>> torch.allclose(decode_box_code(encode_box_code(boxes)), boxes)
        True
    """
    _check_length(code, (10, 8), 'code')
    x, y, log_1, log_2, z, log_3, sin, cos = code[..., :8].split(1, dim=-1)
    if point_range is not None:
        x, y, z = (v * (high - low) + low for v, (low, high) in zip((x, y, z), _limits(point_range), strict=True))
    parts = [x, y, z, log_1.exp(), log_2.exp(), log_3.exp(), torch.atan2(sin, cos), code[..., 8:]]
    return torch.cat(parts, dim=-1)


def _check_length(tensor: Tensor, lengths: tuple[int, int], name: str) -> None:
    if tensor.dim() == 0 or tensor.shape[-1] not in lengths:
        raise ShapeError(
            f'{name} must have {lengths[0]} entries in the last dimension ({lengths[1]} without velocity), got shape '
            f'{tuple(tensor.shape)}.'
        )


def _limits(point_range: Sequence[float]) -> list[tuple[float, float]]:
    """Minimum and maximum of x, y and z; numbers, because a tensor of them would make the device wait for the host."""
    limits = list(zip(point_range[:3], point_range[3:], strict=False))
    if len(point_range) != 6 or any(not low < high for low, high in limits):
        raise ConfigError(
            f'point_range must be (x_min, y_min, z_min, x_max, y_max, z_max) with each minimum below its maximum, got '
            f'{tuple(point_range)}.'
        )
    return limits
