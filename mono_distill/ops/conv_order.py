"""The order in memory in which a trunk of convolutions is given its maps."""

from __future__ import annotations

import torch
from torch import Tensor


def conv_order(maps: Tensor) -> Tensor:
    """Bring maps into the order in memory in which convolutions are fast and safe: values stay.

    On a GPU the channels come last: cuDNN's kernels for half precision want them there and would turn every map
    around; a ResNet-50 takes a third less (``benchmarks/results/bev_step_cuda_amp.md``). Elsewhere they come first:
    with the channels last, the gradient of the weights of a 1x1 convolution with stride 2, as in the shortcuts of
    ResNets, writes out of bounds on a CPU for some sizes (torch 2.13), and the process dies. Convolutions pass the
    order on.

    Args:
        maps: ``(B, C, H, W)``.

    Returns:
        The same values, copied where the order is another.

    Example:
        >>> conv_order(torch.zeros(2, 6, 5, 3).permute(0, 3, 1, 2)).stride()
        (90, 30, 5, 1)
    """
    return maps.contiguous(memory_format=torch.channels_last if maps.is_cuda else torch.contiguous_format)
