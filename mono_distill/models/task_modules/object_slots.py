"""Objects of a batch in padded tensors, shared by the target encoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from mono_distill.utils.errors import DataError


def require_fields(batch: Sequence[InstanceData], fields: Sequence[str], *, owner: str) -> None:
    """Raise :class:`DataError` unless the annotations of every image have all ``fields``."""
    for instances in batch:
        lacking = [field for field in fields if field not in instances]
        if lacking:
            raise DataError(
                f'{owner}: gt_instances_3d lacks {lacking}; end the training pipeline with '
                'mono_distill.PackMono3DInputs.'
            )


def zero_unless(valid: Tensor, value: Tensor) -> Tensor:
    """Return ``value`` (B, N, ...) with zeros in the slots where ``valid`` (B, N) does not hold.

    Example:
        >>> zero_unless(torch.tensor([[True, False]]), torch.tensor([[[1.0, 2.0], [3.0, float('nan')]]]))
        tensor([[[1., 2.],
                 [0., 0.]]])
    """
    mask = valid.view(*valid.shape, *([1] * (value.dim() - 2)))
    return torch.where(mask, value, value.new_zeros(()))


def host_values(values: Any, *, like: Tensor) -> Tensor:
    """Bring a few numbers of the host to the device and dtype of ``like`` without waiting for the device.

    Example:
        >>> host_values([1.0, 0.5], like=torch.zeros(1))
        tensor([1.0000, 0.5000])
    """
    tensor = torch.as_tensor(values, dtype=like.dtype, device='cpu')
    if like.is_cuda:
        # From pinned memory the copy does not wait for the forward pass that is still queued.
        tensor = tensor.pin_memory()
    return tensor.to(like.device, non_blocking=True)


def meta_column(metas: Sequence[Mapping[str, Any]], key: str, default: Any, *, like: Tensor) -> Tensor:
    """Return the meta value ``key`` of every image as (B, 1).

    Example:
        >>> meta_column([{'crop_scale': 2.0}, {}], 'crop_scale', 1.0, like=torch.zeros(1))
        tensor([[2.],
                [1.]])
    """
    return host_values([meta.get(key, default) for meta in metas], like=like).unsqueeze(1)


def require_meta(metas: Sequence[Mapping[str, Any]], key: str, *, owner: str) -> list[Any]:
    """Return the meta value ``key`` of every image, or raise :class:`DataError` with the image that lacks it."""
    for meta in metas:
        if key not in meta:
            raise DataError(
                f'{owner}: the meta information of {meta.get("img_path", "an image")} lacks {key!r}; end the pipeline '
                'with mono_distill.PackMono3DInputs.'
            )
    return [meta[key] for meta in metas]
