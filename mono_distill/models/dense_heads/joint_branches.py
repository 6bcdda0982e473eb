"""The branches of a CenterHead in two convolutions instead of two for each, where nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.models.backbones.frozen_norm import folds_at_inference
from mono_distill.models.watched import is_watched


def can_join(tasks: Sequence[nn.Module], branches: Sequence[Any], shared: Tensor) -> bool:
    """Whether :func:`joint_branches` takes these branches, and gains by it.

    It does where launching many small kernels takes longer than what they compute, that is on a GPU, if each branch is
    mmdet3d's plain one (convolution, batch normalisation in inference mode, ReLU, convolution), all are of one width
    and one kernel, no gradient is asked for, and no hook or tap listens to a task or a part of it.

    Args:
        tasks: The modules that hold the branches, and are passed by.
        branches: A branch per map.
        shared: What all of them read.
    """
    if not shared.is_cuda or torch.is_grad_enabled() or any(is_watched(task) for task in tasks):
        return False
    return all(_is_plain(branch) for branch in branches) and len({_layout(branch) for branch in branches}) == 1


@torch.no_grad()
def joint_branches(branches: Sequence[Any], shared: Tensor) -> list[Tensor]:
    """Compute all branches at once; the results are theirs up to rounding.

    The first convolutions, their normalisations folded in, stand one after another in one; the second ones become one
    of a block-diagonal weight. That multiplies by many zeros, which a GPU does in the time of the small convolutions
    alone, without the hundreds of kernels. The maps between take more memory: those of all branches at once.

    Args:
        branches: Of the form of :func:`can_join`; B of them, branch b with ``c_b`` output channels.
        shared: ``(N, C, H, W)``.

    Returns:
        A map ``(N, c_b, H, W)`` of each.

    Example:
        >>> make = lambda channels: nn.Sequential(ConvModule(4, 4, 3, padding=1, norm_cfg=dict(type='BN2d')),
        ...                                       nn.Conv2d(4, channels, 3, padding=1)).eval()
        >>> [tuple(x.shape) for x in joint_branches([make(2), make(1)], torch.rand(1, 4, 8, 8))]
        [(1, 2, 8, 8), (1, 1, 8, 8)]
    """
    hidden, last = [branch[0] for branch in branches], [branch[1] for branch in branches]
    norms = [layer.norm for layer in hidden]
    scale = _joined(norms, 'weight') * (_joined(norms, 'running_var') + norms[0].eps).rsqrt()
    weight = torch.cat([layer.conv.weight for layer in hidden]) * scale.view(-1, 1, 1, 1)
    bias = _joined(norms, 'bias') - _joined(norms, 'running_mean') * scale
    maps = F.conv2d(shared, weight, bias, padding=hidden[0].conv.padding).relu_()
    counts = [layer.out_channels for layer in last]
    maps = F.conv2d(maps, _block_diagonal(last, counts), _joined(last, 'bias'), padding=last[0].padding)
    return list(maps.split(counts, 1))


def _block_diagonal(layers: Sequence[nn.Module], counts: Sequence[int]) -> Tensor:
    """Weight of the second convolutions: zero where an output is of another branch than an input."""
    joined = _joined(layers, 'weight')
    rows = torch.arange(len(joined), device=joined.device)
    # Branch of each row, counted on the device: numbers brought to it would make the host wait.
    ends = torch.stack([rows[end - 1] for end in accumulate(counts)])
    owner = (rows.unsqueeze(1) > ends).sum(1)
    blocks = joined.new_zeros(len(joined), len(layers), *joined.shape[1:])
    return blocks.index_put_((rows, owner), joined).flatten(1, 2)


def _joined(layers: Sequence[nn.Module], name: str) -> Tensor:
    return torch.cat([getattr(layer, name) for layer in layers])


def _is_plain(branch: Any) -> bool:
    if not isinstance(branch, nn.Sequential) or len(branch) != 2:
        return False
    hidden: Any = branch[0]
    last: Any = branch[1]
    if type(hidden) is not ConvModule or type(last) is not nn.Conv2d or not hidden.with_norm:
        return False
    if hidden.order != ('conv', 'norm', 'act') or type(getattr(hidden, 'activate', None)) is not nn.ReLU:
        return False
    if hidden.conv.bias is not None or last.bias is None or last.padding_mode != 'zeros':
        return False
    steps = {(conv.stride, conv.dilation, conv.groups) for conv in (hidden.conv, last)}
    return steps == {((1, 1), (1, 1), 1)} and folds_at_inference(hidden.conv, hidden.norm)


def _layout(branch: Any) -> tuple[object, ...]:
    """What branches have in common that can be joined."""
    hidden, last = branch[0].conv, branch[1]
    return (*hidden.weight.shape, hidden.padding, branch[0].norm.eps, *last.weight.shape[1:], last.padding)
