"""How good a teacher's predictions are, measured on annotated objects."""

from __future__ import annotations

import torch
from torch import Tensor

from mono_distill.utils.errors import ConfigError, ShapeError


def prediction_quality(confidence: Tensor, iou: Tensor, *, gamma: float = 0.5) -> Tensor:
    r"""Quality :math:`q = c^{1 - \gamma} \cdot \operatorname{IoU}^\gamma` of predictions matched to annotated objects.

    (STXD, NeurIPS 2023; slide 8 of the authors' talk. The paper's :math:`\gamma` is not known.)

    Args:
        confidence: Probability that the teacher gives to the class of the object, any shape.
        iou: Overlap of the teacher's box with that of the object, the same shape; 0 where nothing was matched.
        gamma: From 0 (confidence only) to 1 (overlap only).

    Returns:
        Quality from 0 to 1, the same shape; 0 where the IoU is 0, whatever gamma.

    Raises:
        ConfigError: ``gamma`` is not within [0, 1].

    Example:
        >>> prediction_quality(torch.tensor([0.64]), torch.tensor([0.25]))
        tensor([0.4000])
    """
    if not 0 <= gamma <= 1:
        raise ConfigError(f'prediction_quality: gamma must be within [0, 1], got {gamma}.')
    return torch.where(iou == 0, 0.0, confidence.pow(1 - gamma) * iou.pow(gamma))


def quality_by_overlap(
    confidence: Tensor,
    labels: Tensor,
    iou: Tensor,
    object_labels: Tensor,
    object_valid: Tensor,
    *,
    gamma: float = 0.5,
) -> Tensor:
    """Quality of predictions, each matched to the object of its class that it overlaps most.

    Nothing waits for the device. Several predictions may be matched to one object; those that overlap no object of
    their class, false positives in particular, have quality 0 and teach nothing.

    Args:
        confidence: ``(B, R)`` probability of the predicted class.
        labels: ``(B, R)`` predicted classes.
        iou: ``(B, R, G)`` overlaps with the annotated objects.
        object_labels: ``(B, G)``.
        object_valid: ``(B, G)`` bool, objects that exist.
        gamma: See :func:`prediction_quality`.

    Returns:
        ``(B, R)``.

    Raises:
        ConfigError: ``gamma`` is not within [0, 1].
        ShapeError: The shapes do not fit.

    Example:
        >>> iou = torch.tensor([[[0.25, 0.9], [0.0, 0.0]]])
        >>> objects = dict(object_labels=torch.tensor([[2, 1]]), object_valid=torch.tensor([[True, True]]))
        >>> quality_by_overlap(torch.tensor([[0.64, 0.9]]), torch.tensor([[2, 2]]), iou, **objects)
        tensor([[0.4000, 0.0000]])
    """
    batch, predictions, objects = iou.shape if iou.dim() == 3 else (-1, -1, -1)
    expected = {'confidence': (batch, predictions), 'labels': (batch, predictions)}
    expected |= {'object_labels': (batch, objects), 'object_valid': (batch, objects)}
    given = dict(confidence=confidence, labels=labels, object_labels=object_labels, object_valid=object_valid)
    for name, shape in expected.items():
        if tuple(given[name].shape) != shape:
            raise ShapeError(
                f'quality_by_overlap: {name} {tuple(given[name].shape)} does not fit iou {tuple(iou.shape)}, which has '
                'the shape (images, predictions, objects).'
            )
    comparable = (labels.unsqueeze(2) == object_labels.unsqueeze(1)) & object_valid.unsqueeze(1)
    # A column of zeros: without objects there is a maximum, too.
    overlaps = torch.nn.functional.pad(torch.where(comparable, iou, 0.0), (0, 1))
    return prediction_quality(confidence, overlaps.amax(2), gamma=gamma)
