"""Feature distance on objects, weighted by the uncertainty of their depth (DASFD of MonoSTL, TCSVT 2024).

DASFD is short for depth-aware selective feature distillation: features of objects that the student already locates well
are left alone, since imitating another modality there harms more than it helps ("negative transfer").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mono_distill.losses.affinity import check_ref_batch
from mono_distill.losses.covered_pixels import covered_pixels
from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.masked import mean_over_ranks
from mono_distill.losses.object_uncertainty import check_param, object_log_scales
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.ops.box_masks import NegativeIndices
from mono_distill.ops.box_weight_maps import Overlap, box_weight_maps
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

WeightBy = Literal['student', 'teacher']
Normalizer = Literal['pixels', 'weights']


def selective_feature_loss(
    student: Features,
    teacher: Features,
    log_scale: Tensor,
    targets: Mapping[str, Tensor],
    *,
    strides: Sequence[int] = (8, 16, 32),
    weight_by: WeightBy = 'student',
    param: str = 'scale',
    normalizer: Normalizer = 'pixels',
    ref_batch: int | None = 10,
    overlap: Overlap = 'last',
    origin_weight: float | None = None,
    negative_indices: NegativeIndices = 'clip',
) -> Tensor:
    r"""Squared distance of features on objects, each object weighted by how (un)certain its depth is.

    A head predicts a Laplace distribution of scale :math:`\sigma_j` for the depth of object j; its confidence is
    :math:`\kappa_j = \min(1, 1 / \sigma_j)`, with :math:`\sigma` in metres, detached. The weight of the object is

    * ``weight_by='student'`` (default): :math:`w_j = 1 - \kappa^S_j`; objects that the student places to within a metre
      are left out, the least certain ones count most;
    * ``weight_by='teacher'``: :math:`w_j = \kappa^T_j`, more where the teacher knows.

    With :math:`W_\ell` the weights painted into the objects' 2D boxes (:func:`mono_distill.ops.box_weight_maps`) and
    :math:`M_\ell` the pixels in any box where the teacher is not zero in every channel,

    .. math:: L = \sum_\ell \frac{1}{B} \cdot \frac{1}{|M_\ell|} \sum_{M_\ell} W_\ell
        \operatorname{mean}_c \tfrac{1}{2} (S_\ell - T_\ell)^2

    Pixels count alike in the divisor :math:`|M_\ell|`, so that lower weights lower the loss. Entries at which the
    teacher is NaN count as equal. Without objects the loss is 0. Under distributed training the divisor is that of the
    global batch.

    These are the defaults of the official code (``lib/losses/feature_distill_loss.py``, the mode
    ``student_weight``), where :math:`B` is the constant 10 whatever the batch and the trainer multiplies the result by
    10. Two details of it are options: objects with their centre at the pixel (0, 0) have the fixed weight 0.01
    (``origin_weight``), which there also catches objects without a centre, and boxes that begin outside of the image
    vanish (``negative_indices='wrap'``). It also takes objects of all classes, where ``targets`` of this package hold
    only those that are trained.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes; receives no gradient.
        log_scale: :math:`\log \sigma` of the network that ``weight_by`` names: ``(B, N)``, or a map ``(B, C, h, w)``
            with it in the last channel, such as the ``depth`` output of a MonoDLE-type head; receives no gradient.
        targets: ``bboxes (B, N, 4)`` in input pixels, ``mask_2d (B, N)`` bool and, as ``y * w + x`` on the map of
            ``log_scale``, ``indices (B, N)``.
        strides: Input pixels per map pixel of each level.
        weight_by: ``'student'`` or ``'teacher'``, see above.
        param: ``'scale'``, or ``'variance'`` if the channel holds :math:`2 \log \sigma` (GUPNet, DID-M3D).
        normalizer: ``'pixels'``, or ``'weights'`` to divide by the sum of the weights instead, which makes the loss a
            weighted mean.
        ref_batch: The B of the formula; ``None`` for the actual batch, that of one process.
        overlap: Which weight a pixel of several boxes gets: of the ``'last'`` object of the list, as officially, or the
            ``'max'`` (largest).
        origin_weight: Weight of objects with index 0, 0.01 officially; ``None`` treats them like all others.
        negative_indices: ``'clip'`` or ``'wrap'`` (official), see :func:`mono_distill.ops.box_masks`.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student, teacher, log-scale, strides or targets do not fit.
        ConfigError: An option is unknown or a target is missing.

    Example:
        >>> objects = dict(bboxes=torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]), mask_2d=torch.tensor([[True]]))
        >>> objects.update(indices=torch.tensor([[0]]))
        >>> log_scale = torch.tensor([[4.0]]).log()  # within 4 m: confidence 0.25, weight 0.75
        >>> student, teacher = 3 * torch.ones(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
        >>> selective_feature_loss(student, teacher, log_scale, objects, strides=[8], ref_batch=1)
        tensor(1.5000)
    """
    name = 'selective_feature_loss'
    _check_options(weight_by, param, normalizer, ref_batch, overlap, negative_indices)
    pairs = paired_levels(student, teacher, loss=name)
    if len(strides) != len(pairs):
        raise ShapeError(f'{name}: {len(pairs)} levels but strides={tuple(strides)}; give one per level.')
    batch = pairs[0][0].shape[0]
    shapes: dict[str, tuple[int | None, ...]] = {'bboxes': (batch, None, 4)}
    slots = require_tensors(targets, shapes, owner=name)[0].shape[1]
    shapes.update(mask_2d=(batch, slots), indices=(batch, slots))
    boxes, valid, indices = require_tensors(targets, shapes, owner=name)
    with full_precision(pairs[0][0]):
        weights = _object_weights(object_log_scales(log_scale, indices, param=param, owner=name), weight_by)
        if origin_weight is not None:
            weights = torch.where(indices == 0, origin_weight, weights)
        boxes = torch.where(valid.unsqueeze(-1), boxes, 0.0)
        sums, divisors = [], []
        for (s, t), stride in zip(pairs, strides, strict=True):
            painted, mask = box_weight_maps(
                boxes,
                weights,
                (s.shape[2], s.shape[3]),
                stride=stride,
                overlap=overlap,
                negative_indices=negative_indices,
            )
            mask, painted, s, t = covered_pixels(mask, painted, s, t)
            mask = mask & (t.abs().amax(1) != 0)
            painted = torch.where(mask, painted, 0.0).to(s.dtype)
            sums.append(_weighted_distance(s, t, painted, mask))
            divisors.append((mask if normalizer == 'pixels' else painted).sum().to(s.dtype))
        divisor = mean_over_ranks(torch.stack(divisors))
        # Without objects on any process there is nothing to divide.
        divisor = torch.where(divisor > 0, divisor, 1.0)
        return (torch.stack(sums) / divisor).sum() / (ref_batch or batch)


def _object_weights(log_scales: Tensor, weight_by: str) -> Tensor:
    confidence = (-log_scales).exp().clamp(max=1)
    return 1 - confidence if weight_by == 'student' else confidence


def _weighted_distance(student: Tensor, teacher: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Sum over pixels of half the squared difference, averaged over channels, times ``weights (B, H, W)``."""
    # Elsewhere the student is compared with itself, which costs nothing and sends no gradient.
    compared = mask.unsqueeze(1) & ~teacher.isnan()
    target = torch.where(compared, teacher, student.detach())
    distance = F.mse_loss(student, target, reduction='none').sum(1)
    return (weights * distance).sum() / (2 * student.shape[1])


def _check_options(
    weight_by: str, param: str, normalizer: str, ref_batch: int | None, overlap: str, negative_indices: str
) -> None:
    name = 'selective_feature_loss'
    check_ref_batch(ref_batch, name)
    check_param(param, name)
    for option, value, known in (
        ('weight_by', weight_by, get_args(WeightBy)),
        ('normalizer', normalizer, get_args(Normalizer)),
        ('overlap', overlap, get_args(Overlap)),
        ('negative_indices', negative_indices, get_args(NegativeIndices)),
    ):
        if value not in known:
            raise ConfigError(f"{name}: {option} must be {' or '.join(map(repr, known))}, got '{value}'.")


@MODELS.register_module()
class SelectiveFeatureLoss(nn.Module):
    """Module form of :func:`selective_feature_loss`.

    Args:
        strides: Input pixels per map pixel of each level, fine to coarse.
        weight_by: ``'student'``: more where the student is uncertain; ``'teacher'``: more where the teacher is certain.
        param: ``'scale'`` or ``'variance'``: how the network's uncertainty channel is to be read.
        normalizer: ``'pixels'``, as officially, or ``'weights'``.
        ref_batch: The batch size in the formula's divisor; 10 as officially, ``None`` for the actual batch.
        overlap: ``'last'``, as officially, or ``'max'``.
        origin_weight: Weight of objects with index 0, 0.01 officially; ``None`` treats them like all others.
        negative_indices: ``'clip'``, or ``'wrap'`` for official boxes that leave the image.
    """

    def __init__(
        self,
        strides: Sequence[int] = (8, 16, 32),
        *,
        weight_by: WeightBy = 'student',
        param: str = 'scale',
        normalizer: Normalizer = 'pixels',
        ref_batch: int | None = 10,
        overlap: Overlap = 'last',
        origin_weight: float | None = None,
        negative_indices: NegativeIndices = 'clip',
    ) -> None:
        super().__init__()
        _check_options(weight_by, param, normalizer, ref_batch, overlap, negative_indices)
        self.options: dict[str, Any] = dict(
            strides=tuple(strides),
            weight_by=weight_by,
            param=param,
            normalizer=normalizer,
            ref_batch=ref_batch,
            overlap=overlap,
            origin_weight=origin_weight,
            negative_indices=negative_indices,
        )

    def forward(self, student: Features, teacher: Features, log_scale: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`selective_feature_loss`."""
        return selective_feature_loss(student, teacher, log_scale, targets, **self.options)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return ', '.join(f'{name}={value!r}' for name, value in self.options.items())
