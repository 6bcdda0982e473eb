"""The pixels of a mask by themselves, where that saves time."""

from __future__ import annotations

from torch import Tensor

from mono_distill.ops._compiled import on_host


def covered_pixels(mask: Tensor, *maps: Tensor) -> list[Tensor]:
    """Reduce maps to the pixels of a mask, where the host can read how many these are.

    A loss over few pixels then need not read whole maps. On a GPU the host would have to wait for the number: the mask
    and the maps come back as they are, and a loss that masks what it sums has the same result either way.

    Args:
        mask: ``(B, H, W)`` bool.
        maps: ``(B, C, H, W)`` or ``(B, H, W)``.

    Returns:
        The mask ``(P, 1, 1)``, all true, and maps of one pixel each, ``(P, C, 1, 1)`` or ``(P, 1, 1)``; or the
        arguments.

    Example:
        >>> import torch
        >>> mask, pixels = covered_pixels(torch.tensor([[[False, True]]]), torch.arange(6.0).view(1, 3, 1, 2))
        >>> mask.shape, pixels.flatten()
        (torch.Size([1, 1, 1]), tensor([1., 3., 5.]))
    """
    if not on_host(mask, *maps):
        return [mask, *maps]
    places = mask.nonzero(as_tuple=True)
    rows = [x.movedim(1, -1)[places] if x.dim() == 4 else x[places] for x in (mask, *maps)]
    return [x[..., None, None] for x in rows]
