"""Imitation of the dense outputs of a MonoDLE-type head (MonoDistill, ICLR 2022; MonoSTL, TCSVT 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.heading_distance import heading_distances
from mono_distill.losses.masked import as_float32, global_avg_factors, masked_mean
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.ops.box_masks import gaussian_square_masks
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError

HeadingSlots = Literal['valid', 'all']
Tensors = Mapping[str, Tensor]

_BINS = 12
# Outputs compared inside the mask, and how many of their channels: the log-scale of the depth is left alone.
_DENSE_CHANNELS = {'offset_2d': 2, 'size_2d': 2, 'offset_3d': 2, 'size_3d': 3, 'depth': 1}


def monodle_response_loss(
    student: Tensors,
    teacher: Tensors,
    targets: Tensors,
    *,
    heading_slots: HeadingSlots = 'valid',
    include_origin_pixel: bool = False,
    stride: int = 4,
) -> Tensor:
    """Sum of :func:`monodle_response_terms`, which takes the same arguments.

    Returns:
        0-dim tensor; 0 without objects.

    Example:
        >>> names = dict(offset_2d=2, size_2d=2, offset_3d=2, size_3d=3, depth=2, heading=24)
        >>> zeros = {name: torch.zeros(1, channels, 2, 3) for name, channels in names.items()}
        >>> objects = dict(bboxes=torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]), indices=torch.tensor([[4]]))
        >>> objects.update(mask_2d=torch.tensor([[True]]), heading_bin=torch.tensor([[0]]))
        >>> monodle_response_loss({**zeros, 'depth': torch.ones(1, 2, 2, 3)}, zeros, objects)
        tensor(1.)
    """
    terms = monodle_response_terms(
        student,
        teacher,
        targets,
        heading_slots=heading_slots,
        include_origin_pixel=include_origin_pixel,
        stride=stride,
    )
    return torch.stack(list(terms.values())).sum()


def monodle_response_terms(
    student: Tensors,
    teacher: Tensors,
    targets: Tensors,
    *,
    heading_slots: HeadingSlots = 'valid',
    include_origin_pixel: bool = False,
    stride: int = 4,
) -> dict[str, Tensor]:
    r"""Distances between the outputs of two MonoDLE-type heads, one per output.

    With :math:`G` the squares around object centres (:func:`mono_distill.ops.gaussian_square_masks`) the dense terms
    are :math:`\operatorname{mean}_{G,c} |\Delta|` of ``offset_2d``, ``size_2d``, ``offset_3d``, ``size_3d`` and the raw
    depth logit (channel 0 of ``depth``; its log-scale and the heatmap are not imitated). The heading is compared at the
    centre pixels of the :math:`M` objects,

    .. math:: \frac{1}{12 M} \sum_m \sum_{k=1}^{12} q^T_{mk} \log \frac{q^T_{mk}}{q^S_{mk}}
        + \frac{1}{M} \sum_m |\Delta \text{residual of the annotated bin}|_m

    where the 12 in front is official (an element-wise mean). Without objects all terms are 0 and stay connected. Under
    distributed training the means run over the global batch.

    The official code (``lib/losses/head_distill_loss.py`` of MonoDistill, alike in MonoSTL) differs in two ways, which
    are options: it averages the heading over all slots of the padded list, so that empty slots compare the top left
    pixel and objects weigh about a tenth (``heading_slots='all'``; M is then B times the padded length, officially
    50), and slots of rejected labels paint the pixel (0, 0) into G (``include_origin_pixel=True``).

    Args:
        student: Output of the head: ``offset_2d``, ``size_2d``, ``offset_3d`` (2 channels), ``size_3d`` (3), ``depth``
            (at least 1) and ``heading`` (12 logits, 12 residuals), each ``(B, C, H, W)``.
        teacher: The same; receives no gradient.
        targets: ``bboxes (B, N, 4)`` in input pixels, ``indices``, ``mask_2d`` and ``heading_bin (B, N)``, zero-padded.
        heading_slots: ``'valid'`` objects, or ``'all'`` slots as officially.
        include_origin_pixel: Whether the pixel (0, 0) of every image belongs to G, as officially.
        stride: Input pixels per pixel of the maps.

    Returns:
        Name of the output to 0-dim tensor.

    Raises:
        ConfigError: An output or a target is missing, or ``heading_slots`` is unknown.
        ShapeError: An output or a target has the wrong shape.
    """
    _check_heading_slots(heading_slots)
    pairs = _paired_outputs(student, teacher)
    batch, _, height, width = pairs['heading'][0].shape
    boxes, indices, valid, heading_bin = require_tensors(
        targets,
        {'bboxes': (batch, None, 4), 'indices': (batch, None), 'mask_2d': (batch, None), 'heading_bin': (batch, None)},
        owner='monodle_response_loss: targets',
    )
    with full_precision(boxes):
        mask = gaussian_square_masks(boxes, valid, (height, width), stride=stride)
        if include_origin_pixel:
            mask[:, 0, 0] = True
        slots = valid if heading_slots == 'valid' else torch.ones_like(valid)
        pixels, objects = (
            global_avg_factors(torch.stack([mask.sum(), slots.sum()])).to(pairs['heading'][0].dtype).unbind()
        )
        terms = {name: _dense_term(*pairs[name], channels, mask, pixels) for name, channels in _DENSE_CHANNELS.items()}
        terms['heading'] = _heading_term(*pairs['heading'], indices, heading_bin, slots, objects)
    return terms


def _paired_outputs(student: Tensors, teacher: Tensors) -> dict[str, tuple[Tensor, Tensor]]:
    """Check both heads' outputs and pair them in full precision, the teacher detached."""
    shapes: dict[str, tuple[int | None, ...]] = {'heading': (None, 2 * _BINS, None, None)}
    (heading,) = require_tensors(student, shapes, owner='monodle_response_loss: student')
    batch, _, height, width = heading.shape
    for name, channels in {**_DENSE_CHANNELS, 'heading': 2 * _BINS}.items():
        shapes[name] = (batch, None if name == 'depth' else channels, height, width)
    ours = require_tensors(student, shapes, owner='monodle_response_loss: student')
    theirs = require_tensors(teacher, shapes, owner='monodle_response_loss: teacher')
    return {name: (as_float32(s), as_float32(t.detach())) for name, s, t in zip(shapes, ours, theirs, strict=True)}


def _dense_term(student: Tensor, teacher: Tensor, channels: int, mask: Tensor, pixels: Tensor) -> Tensor:
    """Mean absolute difference of the first channels inside the mask ``(B, H, W)``, which counts ``pixels``."""
    return masked_mean((student[:, :channels] - teacher[:, :channels]).abs().mean(1), mask, pixels)


def _heading_term(
    student: Tensor, teacher: Tensor, indices: Tensor, heading_bin: Tensor, slots: Tensor, objects: Tensor
) -> Tensor:
    """Divergence of the bins plus difference of the annotated bin's residual, averaged over ``slots (B, N)``.

    ``objects`` is the number of slots that hold.
    """
    places = indices.unsqueeze(1).expand(-1, 2 * _BINS, -1)
    student, teacher = (heading.flatten(2).gather(2, places).transpose(1, 2) for heading in (student, teacher))
    return masked_mean(heading_distances(student, teacher, heading_bin), slots, objects)


def _check_heading_slots(heading_slots: str) -> None:
    if heading_slots not in ('valid', 'all'):
        raise ConfigError(f"monodle_response_loss: heading_slots must be 'valid' or 'all', got '{heading_slots}'.")


@MODELS.register_module()
class MonoDLEResponseLoss(nn.Module):
    """Module form of :func:`monodle_response_loss`.

    Args:
        heading_slots: ``'valid'`` objects, or ``'all'`` slots of the padded list, as officially.
        include_origin_pixel: Whether the pixel (0, 0) of every image belongs to the mask, as officially.
        stride: Input pixels per pixel of the maps.
    """

    def __init__(
        self, heading_slots: HeadingSlots = 'valid', *, include_origin_pixel: bool = False, stride: int = 4
    ) -> None:
        super().__init__()
        _check_heading_slots(heading_slots)
        self.heading_slots: HeadingSlots = heading_slots
        self.include_origin_pixel = include_origin_pixel
        self.stride = stride

    def forward(self, student: Tensors, teacher: Tensors, targets: Tensors) -> Tensor:
        """See :func:`monodle_response_loss`."""
        return monodle_response_loss(
            student,
            teacher,
            targets,
            heading_slots=self.heading_slots,
            include_origin_pixel=self.include_origin_pixel,
            stride=self.stride,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'heading_slots={self.heading_slots!r}, include_origin_pixel={self.include_origin_pixel}, '
            f'stride={self.stride}'
        )
