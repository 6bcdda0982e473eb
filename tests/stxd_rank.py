"""What each process of the distributed test of STXD's losses runs (importable by name from a spawned process)."""

import torch
from torch import distributed

from mono_distill.losses.cross_correlation import cross_correlation_loss
from mono_distill.losses.quality_response import quality_response_loss
from mono_distill.losses.temporal_similarity import temporal_similarity_loss

BATCH = 4


def inputs():
    """A batch whose images have different numbers of points, past frames and good predictions."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(BATCH, *shape, generator=generator, dtype=torch.float64)

    valid = torch.rand(BATCH, 7, generator=generator) > 0.3
    valid[2] = False
    past_valid = torch.tensor([[True, True], [True, False], [True, True], [False, False]])
    quality = torch.tensor([[0.9, 0.8, 0.7], [0.5, 0.0, 0.6], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0]])
    return dict(
        points=normal(7, 3),
        teacher=normal(7, 3),
        past=normal(2, 5, 3),
        valid=valid,
        past_valid=past_valid,
        logits=normal(3, 2),
        boxes=normal(3, 10),
        teacher_logits=normal(3, 2),
        teacher_boxes=normal(3, 10),
        quality=quality,
    )


def losses(points, teacher, past, valid, past_valid, logits, boxes, teacher_logits, teacher_boxes, quality):
    """Every loss with its gradients for the student's points, logits and boxes."""
    student = [x.clone().requires_grad_() for x in (points, logits, boxes)]
    points, logits, boxes = student
    answers = dict(logits=logits, boxes=boxes), dict(logits=teacher_logits, boxes=teacher_boxes), quality
    values = {
        'correlation, global': cross_correlation_loss(points, teacher, valid, statistics='global'),
        'correlation, image': cross_correlation_loss(points, teacher, valid, statistics='image'),
        'temporal': temporal_similarity_loss(points, teacher, past, valid, past_valid),
        'response, quality': quality_response_loss(*answers),
        'response, pairs': quality_response_loss(*answers, normalizer='pairs'),
    }
    result = {}
    for name, value in values.items():
        gradients = torch.autograd.grad(value, student, allow_unused=True)
        kept = [torch.zeros_like(x) if g is None else g for x, g in zip(student, gradients, strict=True)]
        result[name] = [value.detach(), *kept]
    return result


def work(rank, results):
    half = {name: x[2 * rank : 2 * rank + 2] for name, x in inputs().items()}
    mean = {}
    for name, (value, *gradients) in losses(**half).items():
        # What DDP makes of the gradients of a parameter: their mean over processes.
        whole = [value / 2, *(x.new_zeros(BATCH, *x.shape[1:]) for x in gradients)]
        for place, gradient in zip(whole[1:], gradients, strict=True):
            place[2 * rank : 2 * rank + 2] = gradient / 2
        for part in whole:
            distributed.all_reduce(part)
        mean[name] = whole
    if rank == 0:
        torch.save(mean, results)
