"""Convolutional adapters from student to teacher features."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ShapeError


@MODELS.register_module()
class ConvAdapter(nn.Module):
    """A small network per level: 3x3 convolution, ReLU, 1x1 convolution, all with bias.

    Used on the student by MonoDistill and MonoSKD (``lib/models/DID_distill.py``), where student and teacher have the
    same widths. Nothing follows the last convolution, so adapted features are not rectified even if the teacher's are.
    Initialisation is PyTorch's default, as in the official code. The adapter is dropped after training.

    Args:
        channels: Channels of each level, fine to coarse, of the student.
        out_channels: Channels of each level of the teacher; by default the same.

    Raises:
        ShapeError: The two lists differ in length; on call: the inputs do not match ``channels``.

    Example:
        >>> import torch
        >>> adapter = ConvAdapter([8, 16], out_channels=[4, 4])
        >>> fine, coarse = adapter([torch.zeros(1, 8, 4, 6), torch.zeros(1, 16, 2, 3)])
        >>> coarse.shape
        torch.Size([1, 4, 2, 3])
    """

    def __init__(
        self, channels: Sequence[int] = (64, 128, 256, 512), out_channels: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.channels = tuple(channels)
        outs = self.channels if out_channels is None else tuple(out_channels)
        if len(outs) != len(self.channels):
            raise ShapeError(
                f'ConvAdapter: channels={self.channels} and out_channels={outs} must have one entry per level.'
            )
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, out, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(out, out, 1))
            for c, out in zip(self.channels, outs, strict=True)
        )

    def forward(self, x: Tensor | Sequence[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Adapt every level.

        Args:
            x: Maps ``(B, C_l, H_l, W_l)``, fine to coarse; or the map of the only level.

        Returns:
            Maps ``(B, out_channels_l, H_l, W_l)``; or the one map.
        """
        if isinstance(x, Tensor):
            return self.forward([x])[0]
        shapes = [tuple(level.shape) for level in x]
        if [shape[1] if len(shape) == 4 else None for shape in shapes] != list(self.channels):
            raise ShapeError(
                f'ConvAdapter: built for levels of {self.channels} channels, got maps of shapes {shapes}; '
                'set channels to those of the tapped levels, fine to coarse.'
            )
        return tuple(adapt(level) for adapt, level in zip(self.levels, x, strict=True))
