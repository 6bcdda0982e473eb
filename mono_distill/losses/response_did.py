"""Imitation of the outputs of a DID-M3D-type head, dense and per object (MonoSKD, ECAI 2023)."""

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

DenseSlots = Literal['valid', 'all']
Tensors = Mapping[str, Tensor]

_BINS = 12
_DENSE = ('offset_2d', 'size_2d')
_PER_OBJECT = {
    'offset_3d': (2,),
    'size_3d': (3,),
    'heading': (2 * _BINS,),
    'vis_depth': (None, None),
    'att_depth': (None, None),
    'ins_depth': (None, None),
}


def did_response_loss(
    student: Tensors,
    teacher: Tensors,
    targets: Tensors,
    *,
    dense_slots: DenseSlots = 'valid',
    include_origin_pixel: bool = False,
    stride: int = 4,
) -> Tensor:
    """Sum of :func:`did_response_terms`, which takes the same arguments.

    Returns:
        0-dim tensor; 0 without objects.

    Example:
        >>> zeros = dict(offset_2d=torch.zeros(1, 2, 2, 3), size_2d=torch.zeros(1, 2, 2, 3))
        >>> zeros.update({name: torch.zeros(1, 1, 7, 7) for name in ('vis_depth', 'att_depth', 'ins_depth')})
        >>> zeros.update(offset_3d=torch.zeros(1, 1, 2), size_3d=torch.zeros(1, 1, 3), heading=torch.zeros(1, 1, 24))
        >>> objects = dict(bboxes=torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]), mask_2d=torch.tensor([[True]]))
        >>> objects.update(heading_bin=torch.tensor([[0]]))
        >>> did_response_loss({**zeros, 'vis_depth': torch.ones(1, 1, 7, 7)}, zeros, objects)
        tensor(1.)
    """
    terms = did_response_terms(
        student,
        teacher,
        targets,
        dense_slots=dense_slots,
        include_origin_pixel=include_origin_pixel,
        stride=stride,
    )
    return torch.stack(list(terms.values())).sum()


def did_response_terms(
    student: Tensors,
    teacher: Tensors,
    targets: Tensors,
    *,
    dense_slots: DenseSlots = 'valid',
    include_origin_pixel: bool = False,
    stride: int = 4,
) -> dict[str, Tensor]:
    r"""Distances between the outputs of two DID-M3D-type heads, one per output.

    Such a head predicts the 2D offset and size densely and everything else for each object, from the features in its 2D
    box; the depth is a map per box, the sum (``ins``) of a visual and an attribute depth. With :math:`G` the squares
    around object centres (:func:`mono_distill.ops.gaussian_square_masks`), the dense terms are
    :math:`\operatorname{mean}_{G,c} |\Delta|`, the others the mean :math:`|\Delta|` over the entries of all valid
    objects, and the heading that of :func:`mono_distill.losses.heading_distance.heading_distances`. The heatmap and the
    uncertainties are not imitated. Student and teacher may pool their features from boxes of their own, as officially.
    Without objects all terms are 0 and stay connected. Under distributed training the means run over the global batch.

    The official code (``lib/losses/head_distill_loss.py`` of MonoSKD) keeps the outputs of valid objects only, in lists
    without padding, so that its means without mask are those over valid slots here. Its G differs in two ways, which
    are options: it holds the squares of all objects in the list, also of those that are too truncated or occluded to be
    valid (``dense_slots='all'``), and slots of rejected labels paint the pixel (0, 0) (``include_origin_pixel=True``,
    in every image). If the process has no valid object, the official loss is 0; here G is then empty.

    Args:
        student: Output of the head for B images and N slots: ``offset_2d``, ``size_2d`` ``(B, 2, H, W)``; ``offset_3d``
            ``(B, N, 2)``, ``size_3d`` ``(B, N, 3)``, ``heading`` ``(B, N, 24)`` (12 logits, 12 residuals);
            ``vis_depth``, ``att_depth``, ``ins_depth`` ``(B, N, h, w)`` in metres.
        teacher: The same; receives no gradient.
        targets: ``bboxes (B, N, 4)`` in input pixels, ``mask_2d`` and ``heading_bin (B, N)``, zero-padded.
        dense_slots: Whose squares make up G: ``'valid'`` objects, or ``'all'`` slots with a box, as officially.
        include_origin_pixel: Whether the pixel (0, 0) of every image belongs to G, as officially.
        stride: Input pixels per pixel of the dense maps.

    Returns:
        Name of the output to 0-dim tensor.

    Raises:
        ConfigError: An output or a target is missing, or ``dense_slots`` is unknown.
        ShapeError: An output or a target has the wrong shape.
    """
    _check_dense_slots(dense_slots)
    pairs = _paired_outputs(student, teacher)
    batch, slots = pairs['heading'][0].shape[:2]
    boxes, valid, heading_bin = require_tensors(
        targets,
        {'bboxes': (batch, slots, 4), 'mask_2d': (batch, slots), 'heading_bin': (batch, slots)},
        owner='did_response_loss: targets',
    )
    height, width = pairs['size_2d'][0].shape[2:]
    with full_precision(boxes):
        painting = valid if dense_slots == 'valid' else boxes.any(-1)
        mask = gaussian_square_masks(boxes, painting, (height, width), stride=stride)
        if include_origin_pixel:
            mask[:, 0, 0] = True
        mask &= valid.any()
        pixels, objects = (
            global_avg_factors(torch.stack([mask.sum(), valid.sum()])).to(pairs['size_2d'][0].dtype).unbind()
        )
        terms = {name: masked_mean(_l1(*pairs[name]).mean(1), mask, pixels) for name in _DENSE}
        bins = torch.where(valid, heading_bin, 0)
        for name in _PER_OBJECT:
            s, t = (_zero_unless(valid, x) for x in pairs[name])
            values = heading_distances(s, t, bins) if name == 'heading' else _l1(s, t).flatten(2).mean(2)
            terms[name] = masked_mean(values, valid, objects)
    return terms


def _l1(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).abs()


def _zero_unless(valid: Tensor, values: Tensor) -> Tensor:
    """Zero the empty slots, which may hold anything: a NaN would reach the gradient through any later mask."""
    return torch.where(valid.view(*valid.shape, *[1] * (values.dim() - 2)), values, 0.0)


def _paired_outputs(student: Tensors, teacher: Tensors) -> dict[str, tuple[Tensor, Tensor]]:
    """Check both heads' outputs and pair them in full precision, the teacher detached."""
    owner = 'did_response_loss'
    shapes: dict[str, tuple[int | None, ...]] = dict.fromkeys(_DENSE, (None, 2, None, None))
    shapes.update({name: (None, None, *shape) for name, shape in _PER_OBJECT.items()})
    ours = dict(zip(shapes, require_tensors(student, shapes, owner=f'{owner}: student'), strict=True))
    # What is open in the shapes is settled by the student: batch and map by the size, slots by the heading.
    batch, _, height, width = ours['size_2d'].shape
    slots = ours['heading'].shape[1]
    shapes.update(dict.fromkeys(_DENSE, (batch, 2, height, width)))
    shapes.update({name: (batch, slots, *ours[name].shape[2:]) for name in _PER_OBJECT})
    require_tensors(student, shapes, owner=f'{owner}: student')
    theirs = require_tensors(teacher, shapes, owner=f'{owner}: teacher')
    return {name: (as_float32(ours[name]), as_float32(t.detach())) for name, t in zip(shapes, theirs, strict=True)}


def _check_dense_slots(dense_slots: str) -> None:
    if dense_slots not in ('valid', 'all'):
        raise ConfigError(f"did_response_loss: dense_slots must be 'valid' or 'all', got '{dense_slots}'.")


@MODELS.register_module()
class DIDResponseLoss(nn.Module):
    """Module form of :func:`did_response_loss`.

    Args:
        dense_slots: Objects that make up the mask of the dense outputs: ``'valid'``, or ``'all'`` as officially.
        include_origin_pixel: Whether the pixel (0, 0) of every image belongs to the mask, as officially.
        stride: Input pixels per pixel of the dense maps.
    """

    def __init__(
        self, dense_slots: DenseSlots = 'valid', *, include_origin_pixel: bool = False, stride: int = 4
    ) -> None:
        super().__init__()
        _check_dense_slots(dense_slots)
        self.dense_slots: DenseSlots = dense_slots
        self.include_origin_pixel = include_origin_pixel
        self.stride = stride

    def forward(self, student: Tensors, teacher: Tensors, targets: Tensors) -> Tensor:
        """See :func:`did_response_loss`."""
        return did_response_loss(
            student,
            teacher,
            targets,
            dense_slots=self.dense_slots,
            include_origin_pixel=self.include_origin_pixel,
            stride=self.stride,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'dense_slots={self.dense_slots!r}, include_origin_pixel={self.include_origin_pixel}, stride={self.stride}'
        )
