"""Annotated objects of a batch as padded tensors, for detectors that do not hand their own targets out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mono_distill.ops.pad_slots import pad_slots
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError


def gt_boxes(data_samples: Sequence[Any], *, stride: int = 4) -> dict[str, Tensor]:
    """Collect 2D boxes, projected centres and labels of the annotated objects of every image.

    The losses of MonoDistill, MonoSKD and MonoSTL ask where the objects are. Heads of this package say so themselves
    (``target_encoder``); for any other detector the annotations do. 2D boxes are read from ``gt_instances`` (packed by
    mmdet3d's ``Pack3DDetInputs``) or else from ``gt_instances_3d`` (packed by ``PackMono3DInputs``), centres and labels
    from ``gt_instances_3d``. Without ``centers_2d``, the middle of the 2D box takes the place of the projected centre.

    An object is valid if its box has an area and its centre lies in the network's input.

    Args:
        data_samples: Data samples after the student's preprocessor, with ``batch_input_shape`` or ``img_shape``.
        stride: Input pixels per cell of the map that ``indices`` count on.

    Returns:
        For B images and N >= 1 slots, zero where ``mask_2d`` is False: ``bboxes`` (B, N, 4) xyxy and ``centers_2d`` (B,
        N, 2) in input pixels, ``labels`` (B, N) int64, ``mask_2d`` (B, N) bool and ``indices`` (B, N) int64, y * W + x
        of the cell that holds the centre.

    Raises:
        DataError: A sample has no 2D boxes or no size.

    Example:
        >>> from mmengine.structures import BaseDataElement, InstanceData
        >>> sample = BaseDataElement(metainfo=dict(img_shape=(8, 16)))
        >>> sample.gt_instances = InstanceData(bboxes=torch.tensor([[0.0, 2.0, 12.0, 8.0]]), labels=torch.tensor([1]))
        >>> objects = gt_boxes([sample])
        >>> objects['centers_2d'].tolist(), objects['indices'].tolist()
        ([[[6.0, 5.0]]], [[5]])
    """
    fields = [_read(sample) for sample in data_samples]
    boxes, centres, labels = (pad_slots([field[index] for field in fields], 0.0) for index in range(3))
    height, width = _input_size(data_samples)
    (x, y), (x1, y1, x2, y2) = centres.unbind(-1), boxes.unbind(-1)
    # Comparisons with the NaN of a centre behind the camera are false, as are those of the zero boxes of empty slots.
    valid = (x2 > x1) & (y2 > y1) & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    centres = torch.where(valid.unsqueeze(-1), centres, 0.0)
    cells = (centres / stride).long()
    columns = -(-width // stride)
    return {
        'bboxes': torch.where(valid.unsqueeze(-1), boxes, 0.0),
        'centers_2d': centres,
        'labels': torch.where(valid, labels, 0),
        'mask_2d': valid,
        'indices': cells[..., 1] * columns + cells[..., 0],
    }


def _read(sample: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (n, 4), centres (n, 2) and labels (n,) of one image."""
    flat, solid = (getattr(sample, name, None) for name in ('gt_instances', 'gt_instances_3d'))
    holder = next((part for part in (flat, solid) if part is not None and 'bboxes' in part), None)
    if holder is None:
        raise DataError(
            'gt_boxes: a data sample has no 2D boxes. Load them (LoadAnnotations3D(with_bbox=True)) and pack them: '
            "'gt_bboxes' among the keys of Pack3DDetInputs, or mono_distill.PackMono3DInputs."
        )
    boxes = getattr(holder.bboxes, 'tensor', holder.bboxes).float()
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    if solid is not None and 'centers_2d' in solid:
        centres = solid.centers_2d.float()
    if solid is not None and 'labels_3d' in solid:
        return boxes, centres, solid.labels_3d
    return boxes, centres, holder.labels


def _input_size(data_samples: Sequence[Any]) -> tuple[int, int]:
    """Height and width of the network's input, in pixels."""
    sizes: list[Mapping[str, Any]] = [sample.metainfo for sample in data_samples]
    for key in ('batch_input_shape', 'img_shape'):
        if all(key in size for size in sizes):
            shape = sizes[0][key]
            return int(shape[0]), int(shape[1])
    raise DataError(
        "gt_boxes: a data sample knows neither its batch_input_shape nor its img_shape; add 'img_shape' to the "
        'meta_keys of the transform that packs the inputs.'
    )


@MODELS.register_module()
class GTBoxes(nn.Module):
    """Module form of :func:`gt_boxes`, for the ``targets`` of a distiller; its input is ``data_samples``.

    Args:
        stride: Input pixels per cell of the map that ``indices`` count on: that of the tapped uncertainty.

    Raises:
        ConfigError: ``stride`` is no positive number of pixels.
    """

    def __init__(self, stride: int = 4) -> None:
        super().__init__()
        if stride < 1:
            raise ConfigError(f'GTBoxes: stride must be at least 1 pixel, got {stride}')
        self.stride = stride

    def forward(self, data_samples: Sequence[Any]) -> dict[str, Tensor]:
        """See :func:`gt_boxes`."""
        return gt_boxes(data_samples, stride=self.stride)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'stride={self.stride}'
