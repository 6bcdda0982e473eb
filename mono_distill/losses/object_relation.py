"""Distance of the relations between objects, as inner products of their RoI features (MonoSTL, TCSVT 2024)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import Features, full_precision, paired_levels
from mono_distill.losses.masked import global_avg_factors
from mono_distill.losses.object_uncertainty import check_param, object_log_scales
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.ops._compiled import on_host
from mono_distill.ops.roi_align import pool_boxes, roi_align_weights
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError, did_you_mean

Pairs = Literal['process', 'image']

_PAIR_DEFAULTS: dict[str, Any] = {'pairs': 'process', 'object_power': 2, 'ref_objects': None}


def selective_relation_loss(
    student: Features,
    teacher: Features,
    log_scale: Tensor,
    targets: Mapping[str, Tensor],
    *,
    strides: Sequence[int] = (8, 16, 32),
    param: str = 'scale',
    pairs: Pairs = 'process',
    object_power: float = 2,
    ref_objects: float | None = None,
    bins: int = 7,
    sampling_ratio: int = 0,
) -> Tensor:
    r"""Distance of the inner products between objects, less where the teacher is uncertain (DASRD).

    DASRD is short for depth-aware selective relation distillation. With :math:`f_i` the features of object i inside its
    2D box (:func:`mono_distill.ops.roi_align`, flattened), :math:`A_{ij} = \langle f_i, f_j \rangle` and
    :math:`\sigma_i` the scale of the Laplace distribution that the teacher's head predicts for the depth of i,

    .. math:: L = \sum_\ell \frac{1}{2 K^p} \cdot \frac{1}{K^2} \sum_{i,j=1}^K
        \frac{|A(S_\ell) - A(T_\ell)|_{ij}}{\sigma_i^2 + \sigma_j^2}

    over the K objects of all images of the process, pairs across images and of an object with itself included; so one
    pixel of the teacher that is not finite makes the loss NaN, at least if a box covers it. The official code
    (``lib/losses/feature_distill_loss.py``) adds :math:`\log(\sigma_i^2 + \sigma_j^2)` to both sides, which cancels,
    and divides the mean by :math:`K^2` once more (p = ``object_power`` = 2). The term thus shrinks with the square of
    the number of objects, and so with the batch of a process. ``ref_objects`` puts a constant in place of K in the
    first factor: the term is then a mean over pairs, of the released size at that many objects. Without objects the
    official code raises an error; here the loss is 0. Under distributed training the two divisors are averaged over
    the processes.

    ``pairs='image'`` relates only objects of the same image: the formula is applied to each image and averaged over the
    images that have objects. N processes then equal one on the same global batch.

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes up to the channels, which relations do not need in common; receives no gradient.
        log_scale: :math:`\log \sigma` of the teacher: ``(B, N)``, or a map ``(B, C, h, w)`` with it in the last
            channel, such as the ``depth`` output of a MonoDLE-type head; not clamped, as officially.
        targets: ``bboxes (B, N, 4)`` in input pixels, ``mask_2d (B, N)`` bool and, as ``y * w + x`` on the map of
            ``log_scale``, ``indices (B, N)``.
        strides: Input pixels per map pixel of each level.
        param: ``'scale'``, or ``'variance'`` if the channel holds :math:`2 \log \sigma` (GUPNet, DID-M3D).
        pairs: Between which objects: all of the ``'process'``, as officially, or of one ``'image'``.
        object_power: The exponent p.
        ref_objects: Number of objects in :math:`K^p`; ``None`` for the actual one, as officially.
        bins: Rows and columns of RoIAlign.
        sampling_ratio: Points of a bin in each direction; 0 for as many as it has pixels, as officially.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student, teacher, log-scale, strides or targets do not fit.
        ConfigError: An option is unknown or a target is missing.

    Example:
        >>> objects = dict(bboxes=torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]), mask_2d=torch.tensor([[True]]))
        >>> objects.update(indices=torch.tensor([[0]]))
        >>> ones = torch.ones(1, 4, 2, 2)  # inner products 9 * 4 and 4; sigma^2 + sigma^2 = 2
        >>> selective_relation_loss(3 * ones, ones, torch.zeros(1, 1), objects, strides=[8], bins=1)
        tensor(8.)
    """
    name = 'selective_relation_loss'
    _check_options(name, pairs, object_power, ref_objects)
    levels = paired_levels(student, teacher, loss=name, same_width=False)
    with full_precision(levels[0][0]):
        boxes, valid, indices = _objects(levels, targets, strides, ('indices',), name)
        log_scales = object_log_scales(log_scale, indices, param=param, owner=name)
        # Zero in empty slots: their weight, masked later, would still multiply the gradient.
        log_scales = torch.where(valid, log_scales, 0.0)
        valid, boxes, log_scales = _occupied_slots(valid, boxes, log_scales)
        if pairs == 'process':
            log_scales = log_scales.reshape(1, -1)
        # 1 / (exp(2a) + exp(2b)) without the overflow of the exponentials.
        weights = (-torch.logaddexp(2 * log_scales.unsqueeze(2), 2 * log_scales.unsqueeze(1))).exp()
        differences = _relation_differences(levels, boxes, strides, pairs, bins, sampling_ratio)
        valid = valid.reshape(1, -1) if pairs == 'process' else valid
        return 0.5 * _mean_over_pairs(differences * weights, valid, pairs, object_power, ref_objects)


def roi_affinity_loss(
    student: Features,
    teacher: Features,
    targets: Mapping[str, Tensor],
    *,
    strides: Sequence[int] = (8, 16, 32),
    pairs: Pairs = 'process',
    object_power: float = 2,
    ref_objects: float | None = None,
    bins: int = 7,
    sampling_ratio: int = 0,
) -> Tensor:
    r"""Distance of the inner products between objects, all pairs alike.

    :func:`selective_relation_loss` without uncertainty and without the factor 1/2, a variant that MonoSTL's code
    defines (``roi_affinity``):

    .. math:: L = \sum_\ell \frac{1}{K^p} \operatorname{mean}_{ij} |A(S_\ell) - A(T_\ell)|_{ij}

    Args:
        student: Map ``(B, C, H, W)`` or sequence of maps, fine to coarse.
        teacher: The same shapes up to the channels, which relations do not need in common; receives no gradient.
        targets: ``bboxes (B, N, 4)`` in input pixels and ``mask_2d (B, N)`` bool.
        strides: Input pixels per map pixel of each level.
        pairs: See :func:`selective_relation_loss`, as the following ones.
        object_power: The exponent p.
        ref_objects: Number of objects in :math:`K^p`; ``None`` for the actual one.
        bins: Rows and columns of RoIAlign.
        sampling_ratio: Points of a bin in each direction; 0 for as many as it has pixels.

    Returns:
        0-dim tensor.

    Raises:
        ShapeError: Student, teacher, strides or targets do not fit.
        ConfigError: An option is unknown or a target is missing.

    Example:
        >>> objects = dict(bboxes=torch.tensor([[[0.0, 0.0, 8.0, 8.0]]]), mask_2d=torch.tensor([[True]]))
        >>> ones = torch.ones(1, 4, 2, 2)
        >>> roi_affinity_loss(3 * ones, ones, objects, strides=[8], bins=1)
        tensor(32.)
    """
    name = 'roi_affinity_loss'
    _check_options(name, pairs, object_power, ref_objects)
    levels = paired_levels(student, teacher, loss=name, same_width=False)
    with full_precision(levels[0][0]):
        boxes, valid = _objects(levels, targets, strides, (), name)
        valid, boxes = _occupied_slots(valid, boxes)
        differences = _relation_differences(levels, boxes, strides, pairs, bins, sampling_ratio)
        valid = valid.reshape(1, -1) if pairs == 'process' else valid
        return _mean_over_pairs(differences, valid, pairs, object_power, ref_objects)


Levels = Sequence[tuple[Tensor, Tensor]]


def _objects(
    levels: Levels, targets: Mapping[str, Tensor], strides: Sequence[int], further: Sequence[str], name: str
) -> list[Tensor]:
    """Boxes, zero in empty slots, validity and ``further`` targets ``(B, N)``, checked."""
    if len(strides) != len(levels):
        raise ShapeError(f'{name}: {len(levels)} levels but strides={tuple(strides)}; give one per level.')
    batch = levels[0][0].shape[0]
    shapes: dict[str, tuple[int | None, ...]] = {'bboxes': (batch, None, 4)}
    slots = require_tensors(targets, shapes, owner=name)[0].shape[1]
    shapes.update(dict.fromkeys(('mask_2d', *further), (batch, slots)))
    boxes, valid, *rest = require_tensors(targets, shapes, owner=name)
    return [torch.where(valid.unsqueeze(-1), boxes, 0.0), valid, *rest]


def _occupied_slots(valid: Tensor, *lists: Tensor) -> list[Tensor]:
    """Move the objects of each image to the front and cut off what no image fills; ``valid (B, N)`` comes first.

    That changes nothing but the time, which grows with the square of the slots. It is done where the host can read the
    number of objects; for a GPU it would have to wait.
    """
    if not on_host(valid) or valid.numel() == 0:
        return [valid, *lists]
    order = valid.byte().argsort(dim=1, descending=True, stable=True)
    order = order[:, : max(1, int(valid.sum(1).max()))]
    images = torch.arange(valid.shape[0]).unsqueeze(1)
    return [x[images, order] for x in (valid, *lists)]


def _relation_differences(
    levels: Levels, boxes: Tensor, strides: Sequence[int], pairs: str, bins: int, sampling_ratio: int
) -> Tensor:
    """Sum over levels of ``|A(S) - A(T)|``, ``(G, M, M)`` for G groups of M slots that are related with each other."""
    total = []
    for (s, t), stride in zip(levels, strides, strict=True):
        weights = roi_align_weights(
            boxes.to(s.dtype), (s.shape[2], s.shape[3]), bins, stride=stride, sampling_ratio=sampling_ratio
        )
        # The order of the features of an object does not matter; with the channels last they lie in memory as they are.
        s, t = (pool_boxes(x, *weights).movedim(2, -1).flatten(2) for x in (s, t))
        if pairs == 'process':
            s, t = s.flatten(0, 1).unsqueeze(0), t.flatten(0, 1).unsqueeze(0)
        total.append((torch.bmm(s, s.transpose(1, 2)) - torch.bmm(t, t.transpose(1, 2))).abs())
    return torch.stack(total).sum(0)


def _mean_over_pairs(
    differences: Tensor, valid: Tensor, pairs: str, object_power: float, ref_objects: float | None
) -> Tensor:
    """Mean over pairs of valid objects, over the number of objects to some power; groups ``(G, M)`` averaged."""
    # Slots without object have no features, but may have any uncertainty.
    both = valid.unsqueeze(2) & valid.unsqueeze(1)
    sums = torch.where(both, differences, 0.0).sum((1, 2))
    objects = valid.sum(1)
    if pairs == 'process':
        squares, objects = global_avg_factors(torch.cat([objects.square(), objects])).to(sums.dtype).unbind()
        return (sums / squares).sum() / (objects if ref_objects is None else ref_objects) ** object_power
    images = global_avg_factors((objects > 0).sum()).to(sums.dtype)
    objects = objects.clamp(min=1).to(sums.dtype)
    means = sums / objects.square()
    return (means / (objects if ref_objects is None else ref_objects) ** object_power).sum() / images


def _check_options(name: str, pairs: str, object_power: float, ref_objects: float | None) -> None:
    if pairs not in get_args(Pairs):
        raise ConfigError(f"{name}: pairs must be 'process' or 'image', got '{pairs}'.")
    if object_power < 0:
        raise ConfigError(f'{name}: object_power must not be negative, got {object_power}.')
    if ref_objects is not None and ref_objects <= 0:
        raise ConfigError(f'{name}: ref_objects must be a positive number of objects or None, got {ref_objects}.')


@MODELS.register_module()
class RoIAffinityLoss(nn.Module):
    """Module form of :func:`roi_affinity_loss`.

    Args:
        strides: Input pixels per map pixel of each level, fine to coarse.
        pairs: Relate all objects of the ``'process'``, as officially, or those of one ``'image'``.
        object_power: Exponent of the number of objects by which the mean is divided; 2 officially.
        ref_objects: That number; ``None`` for the actual one, as officially.
        bins: Rows and columns of RoIAlign.
        sampling_ratio: Points of a bin in each direction; 0 for as many as it has pixels.
    """

    def __init__(
        self,
        strides: Sequence[int] = (8, 16, 32),
        *,
        pairs: Pairs = 'process',
        object_power: float = 2,
        ref_objects: float | None = None,
        bins: int = 7,
        sampling_ratio: int = 0,
    ) -> None:
        super().__init__()
        _check_options(type(self).__name__, pairs, object_power, ref_objects)
        self.options: dict[str, Any] = dict(
            strides=tuple(strides),
            pairs=pairs,
            object_power=object_power,
            ref_objects=ref_objects,
            bins=bins,
            sampling_ratio=sampling_ratio,
        )

    def forward(self, student: Features, teacher: Features, targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`roi_affinity_loss`."""
        return roi_affinity_loss(student, teacher, targets, **self.options)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return ', '.join(f'{name}={value!r}' for name, value in self.options.items())


@MODELS.register_module()
class SelectiveRelationLoss(nn.Module):
    """Module form of :func:`selective_relation_loss`.

    Args:
        strides: Input pixels per map pixel of each level, fine to coarse.
        param: ``'scale'`` or ``'variance'``: how the teacher's uncertainty channel is to be read.
        options: Options of :class:`RoIAffinityLoss`.
    """

    def __init__(self, strides: Sequence[int] = (8, 16, 32), *, param: str = 'scale', **options: Any) -> None:
        super().__init__()
        name = type(self).__name__
        check_param(param, name)
        known = ('pairs', 'object_power', 'ref_objects', 'bins', 'sampling_ratio')
        for option in options:
            if option not in known:
                raise ConfigError(f"{name}: no option '{option}'; {did_you_mean(option, known)}")
        _check_options(name, *(options.get(key, default) for key, default in _PAIR_DEFAULTS.items()))
        self.options: dict[str, Any] = {**RoIAffinityLoss(strides, **options).options, 'param': param}

    def forward(self, student: Features, teacher: Features, log_scale: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """See :func:`selective_relation_loss`."""
        return selective_relation_loss(student, teacher, log_scale, targets, **self.options)

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return ', '.join(f'{name}={value!r}' for name, value in self.options.items())
