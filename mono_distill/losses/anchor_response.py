"""Imitation of the dense outputs of an anchor head (CMKD, ECCV 2022; the logit terms of MonoTAKD, CVPR 2025)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from mono_distill.losses.feature_pairs import full_precision
from mono_distill.losses.masked import as_float32
from mono_distill.losses.quality_focal import Images, check_quality_focal, quality_focal_loss
from mono_distill.losses.sine_box import YAW, sine_smooth_l1
from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, ShapeError

Direction = Literal['cross_entropy', 'kl']
Confidence = Literal['max', 'sum']
Tensors = Mapping[str, Tensor]
Weights = tuple[float, float, float]

# The exponent of the quality focal loss.
_BETA = 2.0


def anchor_response_loss(
    student: Tensors,
    teacher: Tensors,
    *,
    num_classes: int = 3,
    direction: Direction | None = 'cross_entropy',
    confidence: Confidence = 'max',
    score_thr: float = 0.1,
    cls_images: Images = 'mean',
    weights: Weights = (2.0, 2.0, 0.4),
) -> Tensor:
    """Sum of :func:`anchor_response_terms`, which takes the same arguments.

    Returns:
        0-dim tensor.

    Example:
        >>> teacher = dict(cls=torch.full((1, 1, 1, 1), 20.0), box=torch.zeros(1, 7, 1, 1))
        >>> student = {**teacher, 'box': torch.ones(1, 7, 1, 1)}
        >>> loss = anchor_response_loss(student, teacher, num_classes=1, direction=None)
        >>> round(loss.item(), 4)  # 2 * (6 * (1 - 1/18) + (sin(1) - 1/18))
        12.9052
    """
    terms = anchor_response_terms(
        student,
        teacher,
        num_classes=num_classes,
        direction=direction,
        confidence=confidence,
        score_thr=score_thr,
        cls_images=cls_images,
        weights=weights,
    )
    return torch.stack(list(terms.values())).sum()


def anchor_response_terms(
    student: Tensors,
    teacher: Tensors,
    *,
    num_classes: int = 3,
    direction: Direction | None = 'cross_entropy',
    confidence: Confidence = 'max',
    score_thr: float = 0.1,
    cls_images: Images = 'mean',
    weights: Weights = (2.0, 2.0, 0.4),
) -> dict[str, Tensor]:
    r"""Distances between the outputs of two anchor heads on one grid of anchors, one per output, weighted.

    Let :math:`q_{ik}` be the teacher's probability of class k at anchor i, :math:`c_i = \max_k q_{ik}` its confidence
    and :math:`P_b` the anchors of image b with :math:`c_i > \text{score\_thr}`. Then

    * ``cls``: :func:`mono_distill.losses.quality_focal_loss`;
    * ``box``: :math:`\frac{1}{B} \sum_b \frac{1}{\max(1, |P_b|)} \sum_{i \in P_b} c_i \sum_j d_{ij}`, where d is
      :func:`~mono_distill.losses.sine_box.sine_smooth_l1`. Both heads code their boxes relative to the same anchors, so
      the raw outputs are compared;
    * ``dir``: the same sum over the cross entropy of the direction bins with the teacher's most likely bin, or over
      :math:`\operatorname{KL}(q^{dir} \| p^{dir})`.

    No annotation is needed: in MonoTAKD this is the head's only supervision. The paper names the first two terms; the
    third is in the released code, and the student's direction bins would otherwise learn nothing. The released code
    (``pcdet/models/dense_heads/anchor_head_single_cmkd_v2.py``) differs in two ways, which are options: it takes
    the sum over the classes as confidence, so that three classes of probability 0.04 make a positive anchor
    (``confidence='sum'``), and it sums ``cls`` over the images while it averages the others (``cls_images='sum'``). The
    weights are its own, and so are the exponent 2 of the quality focal loss and the bend 1/9 of the smooth L1.

    Args:
        student: Raw maps ``cls`` ``(B, A * K, H, W)``, ``box`` ``(B, A * D, H, W)`` with D >= 7 and, unless
            ``direction`` is None, ``dir`` ``(B, A * bins, H, W)``, for A anchors per place; the anchor runs slowest, as
            in mmdet3d and OpenPCDet.
        teacher: The same; receives no gradient.
        num_classes: K.
        direction: ``'cross_entropy'`` or ``'kl'``; ``None`` for heads without direction bins.
        confidence: ``'max'`` or ``'sum'`` of the class probabilities, see above.
        score_thr: Probability above which an anchor counts.
        cls_images: ``'mean'`` or ``'sum'`` over the images of ``cls``.
        weights: Of ``cls``, ``box`` and ``dir``.

    Returns:
        Name of the output to 0-dim tensor. Where the teacher finds nothing, ``box`` and ``dir`` are 0.

    Raises:
        ConfigError: An output is missing, or an option is unknown or out of range.
        ShapeError: Outputs do not fit each other.
    """
    _check_options(num_classes, direction, confidence, score_thr, cls_images, weights)
    (cls_s, box_s, *dir_s), (cls_t, box_t, *dir_t) = _paired_outputs(student, teacher, direction is not None)
    batch, channels = cls_s.shape[:2]
    anchors = channels // num_classes
    if channels % num_classes or any(x.shape[1] % anchors for x in (box_s, *dir_s)) or box_s.shape[1] // anchors <= YAW:
        raise ShapeError(
            f'anchor_response_loss: student has {channels} channels of cls, {box_s.shape[1]} of box'
            + ''.join(f' and {x.shape[1]} of dir' for x in dir_s)
            + f'; with num_classes={num_classes} they must be {num_classes}, at least 7 and some bins per anchor.'
        )
    cls_weight, box_weight, dir_weight = weights
    with full_precision(cls_s):
        cls = quality_focal_loss(
            cls_s, cls_t, num_classes=num_classes, beta=_BETA, score_thr=score_thr, images=cls_images
        )
        quality = cls_t.sigmoid().unflatten(1, (anchors, num_classes))
        trust = quality.amax(2) if confidence == 'max' else quality.sum(2)
        positive = trust > score_thr
        # (B, A, H, W), summing to the mean confidence of the image's positive anchors.
        share = torch.where(positive, trust, 0.0) / positive.sum((1, 2, 3), keepdim=True).clamp(min=1)
        terms = {'cls': cls_weight * cls}
        s, t = _compared(box_s, box_t, positive)
        terms['box'] = box_weight * (share * sine_smooth_l1(s, t, dim=2).sum(2)).sum() / batch
        for logits_s, logits_t in zip(dir_s, dir_t, strict=True):
            s, t = _compared(logits_s, logits_t, positive)
            terms['dir'] = dir_weight * (share * _direction_distance(s, t, direction)).sum() / batch
    return terms


def _paired_outputs(student: Tensors, teacher: Tensors, with_dir: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Check both heads' outputs; in full precision, the teacher detached."""
    student, teacher = _by_name(student), _by_name(teacher)
    (cls,) = require_tensors(student, {'cls': (None, None, None, None)}, owner='anchor_response_loss: student')
    batch, _, *size = cls.shape
    names = ('cls', 'box', 'dir') if with_dir else ('cls', 'box')
    ours = require_tensors(student, dict.fromkeys(names, (batch, None, *size)), owner='anchor_response_loss: student')
    shapes = {name: tuple(output.shape) for name, output in zip(names, ours, strict=True)}
    theirs = require_tensors(teacher, shapes, owner='anchor_response_loss: teacher')
    return [as_float32(s) for s in ours], [as_float32(t.detach()) for t in theirs]


def _by_name(outputs: Any) -> dict[str, Any]:
    """Outputs by name, also those of mmdet3d's Anchor3DHead for one level: a tuple of lists of one map each."""
    named = outputs if isinstance(outputs, Mapping) else dict(zip(('cls', 'box', 'dir'), outputs, strict=False))
    return {name: x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x for name, x in named.items()}


def _compared(student: Tensor, teacher: Tensor, positive: Tensor) -> tuple[Tensor, Tensor]:
    """Split the channels into ``(B, A, D, H, W)``; away from positive anchors the student meets itself."""
    s, t = (x.unflatten(1, (positive.shape[1], -1)) for x in (student, teacher))
    return s, torch.where(positive.unsqueeze(2), t, s.detach())


def _direction_distance(student: Tensor, teacher: Tensor, direction: Direction | None) -> Tensor:
    """Cross entropy or divergence of the bins ``(B, A, bins, H, W)`` of each anchor: ``(B, A, H, W)``."""
    log_p = student.log_softmax(2)
    if direction == 'kl':
        log_q = teacher.log_softmax(2)
        return (log_q.exp() * (log_q - log_p)).sum(2)
    return -log_p.gather(2, teacher.argmax(2, keepdim=True)).squeeze(2)


def _check_options(
    num_classes: int, direction: str | None, confidence: str, score_thr: float, cls_images: str, weights: Weights
) -> None:
    """Raise ConfigError for options that do not exist or fit."""
    check_quality_focal(num_classes, _BETA, score_thr, cls_images, owner='anchor_response_loss: cls')
    if direction is not None and direction not in get_args(Direction):
        raise ConfigError(f"anchor_response_loss: direction must be 'cross_entropy', 'kl' or None, got '{direction}'.")
    if confidence not in get_args(Confidence):
        raise ConfigError(f"anchor_response_loss: confidence must be 'max' or 'sum', got '{confidence}'.")
    if len(weights) != 3:
        raise ConfigError(f'anchor_response_loss: weights are those of cls, box and dir, got {tuple(weights)}.')


@MODELS.register_module()
class AnchorResponseLoss(nn.Module):
    """Module form of :func:`anchor_response_loss`.

    Args:
        num_classes: Classes of the head.
        direction: ``'cross_entropy'`` or ``'kl'``; ``None`` for heads without direction bins.
        confidence: ``'max'`` of the class probabilities, or their ``'sum'`` as released.
        score_thr: Probability above which an anchor counts.
        cls_images: ``'mean'`` of ``cls`` over the images, or ``'sum'`` as released.
        weights: Of ``cls``, ``box`` and ``dir``.
    """

    def __init__(
        self,
        num_classes: int = 3,
        *,
        direction: Direction | None = 'cross_entropy',
        confidence: Confidence = 'max',
        score_thr: float = 0.1,
        cls_images: Images = 'mean',
        weights: Weights = (2.0, 2.0, 0.4),
    ) -> None:
        super().__init__()
        _check_options(num_classes, direction, confidence, score_thr, cls_images, weights)
        self.num_classes = num_classes
        self.direction: Direction | None = direction
        self.confidence: Confidence = confidence
        self.score_thr = score_thr
        self.cls_images: Images = cls_images
        self.weights: Weights = (weights[0], weights[1], weights[2])

    def forward(self, student: Tensors, teacher: Tensors) -> Tensor:
        """See :func:`anchor_response_loss`."""
        return anchor_response_loss(
            student,
            teacher,
            num_classes=self.num_classes,
            direction=self.direction,
            confidence=self.confidence,
            score_thr=self.score_thr,
            cls_images=self.cls_images,
            weights=self.weights,
        )

    def extra_repr(self) -> str:
        """Show the options in ``repr``."""
        return (
            f'num_classes={self.num_classes}, direction={self.direction!r}, confidence={self.confidence!r}, '
            f'score_thr={self.score_thr}, cls_images={self.cls_images!r}, weights={self.weights}'
        )
