"""Feature distance inside the 2D boxes of objects (MonoDistill, ICLR 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.affinity import check_ref_batch
from mono_distill.losses.covered_pixels import covered_pixels
from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.masked import global_avg_factors
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.ops.box_masks import NegativeIndices, box_masks
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError


def foreground_l2_loss(
    student: Features,
    teacher: Features,
    targets: Mapping[str, Tensor],
    *,
    strides: Sequence[int] = (8, 16, 32),
    ref_batch: int | None = None,
    negative_indices: NegativeIndices = 'clip',
) -> Tensor:
    r"""Squared distance of features on the foreground, averaged over its pixels.

    .. math:: L = \sum_\ell \frac{1}{B} \cdot \frac{1}{|M_\ell|} \sum_{M_\ell} \operatorname{mean}_c
        \tfrac{1}{2} (S_\ell - T_\ell)^2

    :math:`M_\ell` holds the pixels of all images that lie in a box (:func:`mono_distill.ops.box_masks`) and where the
    teacher is not zero in every channel (a depth image has empty regions). Entries at which the teacher is NaN count
    as equal. Without foreground the loss is 0. Under distributed training :math:`|M_\ell|` is that of the global batch,
    so that devices with few objects weigh no more. Differences to the official code
    (``lib/losses/feature_distill_loss.py``, where the function is called an L1 loss): it takes the boxes of all
    label lines (MonoDistill, DontCare included), where ``targets`` of this package hold only the objects that are
    trained; it lets negative box bounds wrap around; it multiplies the result by 10 in the trainer. MonoSTL replaces
    the divisor :math:`B` by 10.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes; receives no gradient.
        targets: Needs ``bboxes`` ``(B, N, 4)``, xyxy in input pixels, padded with zeros.
        strides: Input pixels per map pixel of each level.
        ref_batch: The B of the formula; ``None`` for the actual batch, as officially (4 in the released run).
        negative_indices: ``'clip'`` or ``'wrap'`` (official), see :func:`mono_distill.ops.box_masks`.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student, teacher, strides or boxes do not fit.
        ConfigError: An option is unknown or a target is missing.

    Example:
        >>> boxes = torch.tensor([[[0.0, 0.0, 8.0, 8.0]]])
        >>> foreground_l2_loss(3 * torch.ones(1, 4, 2, 2), torch.ones(1, 4, 2, 2), dict(bboxes=boxes), strides=[8])
        tensor(2.)
    """
    _check_options(ref_batch, negative_indices)
    pairs = paired_levels(student, teacher, loss='foreground_l2_loss')
    if len(strides) != len(pairs):
        raise ShapeError(f'foreground_l2_loss: {len(pairs)} levels but strides={tuple(strides)}; give one per level.')
    batch = pairs[0][0].shape[0]
    (boxes,) = require_tensors(targets, {'bboxes': (batch, None, 4)}, owner='foreground_l2_loss')
    with full_precision(pairs[0][0]):
        sums, counts = [], []
        for (s, t), stride in zip(pairs, strides, strict=True):
            mask = box_masks(boxes, (s.shape[2], s.shape[3]), stride=stride, negative_indices=negative_indices)
            mask, s, t = covered_pixels(mask, s, t)
            mask &= t.abs().amax(1) != 0
            sums.append(_masked_distance(s, t, mask))
            counts.append(mask.sum())
        pixels = global_avg_factors(torch.stack(counts)).to(sums[0].dtype)
        return (torch.stack(sums) / pixels).sum() / (ref_batch or batch)


def _masked_distance(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Sum over the mask ``(B, H, W)`` of half the squared difference, averaged over channels."""
    # Elsewhere the student is compared with itself: no distance and no gradient, in one fused pass and without a gather
    # (whose size the host would have to wait for).
    compared = mask.unsqueeze(1) & ~teacher.isnan()
    target = torch.where(compared, teacher, student.detach())
    return F.mse_loss(student, target, reduction='sum') / (2 * student.shape[1])


def _check_options(ref_batch: int | None, negative_indices: str) -> None:
    check_ref_batch(ref_batch, 'foreground_l2_loss')
    if negative_indices not in ('clip', 'wrap'):
        raise ConfigError(f"foreground_l2_loss: negative_indices must be 'clip' or 'wrap', got '{negative_indices}'.")


@MODELS.register_module()
class ForegroundL2Loss(nn.Module):
    """Module form of :func:`foreground_l2_loss`.

    Args:
        strides: Input pixels per map pixel of each level, fine to coarse.
        ref_batch: The batch size in the formula's divisor; ``None`` for the actual batch, as officially; 10 is MonoSTL.
        negative_indices: ``'clip'``, or ``'wrap'`` for official boxes that leave the image.
    """

    def __init__(
        self,
        strides: Sequence[int] = (8, 16, 32),
        *,
        ref_batch: int | None = None,
        negative_indices: NegativeIndices = 'clip',
    ) -> None:
        super().__init__()
        _check_options(ref_batch, negative_indices)
        self.strides = tuple(strides)
        self.ref_batch = ref_batch
        self.negative_indices: NegativeIndices = negative_indices

    def forward(self, student: Features, teacher: Features, targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`foreground_l2_loss`."""
        return foreground_l2_loss(
            student,
            teacher,
            targets,
            strides=self.strides,
            ref_batch=self.ref_batch,
            negative_indices=self.negative_indices,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return f'strides={self.strides}, ref_batch={self.ref_batch}, negative_indices={self.negative_indices!r}'
