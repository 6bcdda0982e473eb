"""Fusion of feature levels from coarse to fine (Chen et al., ReviewKD, CVPR 2021; used by MonoDistill, ICLR 2022)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


@MODELS.register_module()
class ReviewFusion(nn.Module):
    r"""Mix into each level the coarser ones, by attention.

    From the coarsest level :math:`\ell` to the finest, with :math:`r` the mixture of the level before,

    .. math:: x = \mathrm{BN}(\mathrm{conv}_{1 \times 1}(F_\ell)), \quad y = \mathrm{nearest}(r), \quad
        (z_0, z_1) = \sigma(\mathrm{conv}_{1 \times 1}([x, y])), \quad r \leftarrow z_0 x + z_1 y, \quad
        \mathrm{out}_\ell = \mathrm{BN}(\mathrm{conv}_{3 \times 3}(r))

    where the coarsest level has no y and :math:`r = x`. There is no rectification anywhere. MonoDistill and MonoSTL
    (``lib/models/fusion.py``) run it on the student's backbone, before a :class:`ConvAdapter`, and drop it after
    training.

    Give it the levels that are used, and no finer ones: as nothing flows from fine to coarse, the released model, which
    also fuses the level of stride 4 and then reads strides 8 to 32 only, spends more than half of the module's
    arithmetic on an output that no loss reads, and has parameters without gradient. The attention reads y before it is
    enlarged and without concatenation: the result is the same.

    The parameters are those of the released module under the same names, after its prefix ``rgb_fs.`` is replaced by
    ``blocks.``; both count blocks from coarse to fine, so the block of the finest level, 3, is to be left out.

    Args:
        channels: Channels of each level, fine to coarse.
        mid_channels: Channels of the mixture.

    Raises:
        ShapeError: On call: the inputs do not match ``channels``.

    Example:
        >>> import torch
        >>> fuse = ReviewFusion([8, 16], mid_channels=4)
        >>> fine, coarse = fuse([torch.zeros(2, 8, 4, 6), torch.zeros(2, 16, 2, 3)])
        >>> fine.shape, coarse.shape
        (torch.Size([2, 8, 4, 6]), torch.Size([2, 16, 2, 3]))
    """

    def __init__(self, channels: Sequence[int] = (128, 256, 512), mid_channels: int = 512) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.blocks = nn.ModuleList(
            FusionBlock(c, mid_channels, attends=index > 0) for index, c in enumerate(reversed(self.channels))
        )

    def forward(self, x: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Fuse all levels.

        Args:
            x: Maps ``(B, C_l, H_l, W_l)``, fine to coarse.

        Returns:
            Maps of the same shapes.
        """
        shapes = [tuple(level.shape) for level in x]
        if [shape[1] if len(shape) == 4 else None for shape in shapes] != list(self.channels):
            raise ShapeError(
                f'ReviewFusion: built for levels of {self.channels} channels, got maps of shapes {shapes}; '
                'set channels to those of the tapped levels, fine to coarse.'
            )
        mixture, fused = None, []
        for block, level in zip(self.blocks, reversed(x), strict=True):
            mixture, out = block(level, mixture)
            fused.append(out)
        return tuple(reversed(fused))


class FusionBlock(nn.Module):
    """One level of :class:`ReviewFusion`.

    Args:
        channels: Channels of the level.
        mid_channels: Channels of the mixture.
        attends: Whether there is a coarser level.

    Example:
        >>> import torch
        >>> mixture, out = FusionBlock(8, 4, attends=True)(torch.zeros(2, 8, 4, 6), torch.zeros(2, 4, 2, 3))
        >>> mixture.shape, out.shape
        (torch.Size([2, 4, 4, 6]), torch.Size([2, 8, 4, 6]))
    """

    def __init__(self, channels: int, mid_channels: int, *, attends: bool) -> None:
        super().__init__()
        reduce = nn.Conv2d(channels, mid_channels, 1, bias=False)
        expand = nn.Conv2d(mid_channels, channels, 3, padding=1, bias=False)
        for conv in (reduce, expand):
            nn.init.kaiming_uniform_(conv.weight, a=1)
        self.conv1 = nn.Sequential(reduce, nn.BatchNorm2d(mid_channels))
        self.conv2 = nn.Sequential(expand, nn.BatchNorm2d(channels))
        # Held, not called (see _attend), and in a sequence of one, so that released weights fit by name.
        self.att_conv = nn.Sequential(nn.Conv2d(2 * mid_channels, 2, 1)) if attends else None

    def forward(self, x: Tensor, mixture: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Mix a level with the ``mixture`` of the coarser ones; return the new mixture and the fused level."""
        x = self.conv1(x)
        if self.att_conv is not None and mixture is not None:
            x = _attend(x, mixture, *self.att_conv.parameters())
        return x, self.conv2(x)


def _attend(x: Tensor, mixture: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Mix ``x`` and the enlarged ``mixture`` by the attention that a 1x1 convolution reads from both."""
    weight_x, weight_y = weight.chunk(2, dim=1)
    size = (x.shape[2], x.shape[3])
    # Enlarging repeats pixels, so the two channels of the attention are enlarged instead of all those of the mixture.
    scores = F.conv2d(x, weight_x, bias) + F.interpolate(F.conv2d(mixture, weight_y), size, mode='nearest')
    ours, theirs = scores.sigmoid().split(1, dim=1)
    return x * ours + F.interpolate(mixture, size, mode='nearest') * theirs
