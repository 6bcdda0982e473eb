"""The straightforward forms of losses on BEV maps, queries and anchors that benchmarks/losses.py compares with.

They follow the formulas of STXD (no code was released) and the descriptions of the official PKD, MonoTAKD, BEVDistill,
UVTR, DistillBEV and UniDistill code step by step: image by image where they are, every region or class by itself,
positives gathered. Written anew for comparison; nothing else uses them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def cross_correlation(student: Tensor, teacher: Tensor) -> Tensor:
    """CD: standardised features, their correlation, the diagonal and the rest."""
    s, t = (x.flatten(0, 1) for x in (student, teacher))
    s, t = ((x - x.mean(0)) / (x.var(0, correction=0) + 1e-4).sqrt() for x in (s, t))
    matrix = t.T @ s / len(s)
    diagonal = torch.diagonal(matrix)
    return (1 - diagonal).square().sum() + 5e-3 * (matrix.square().sum() - diagonal.square().sum())


def temporal_similarity(student: Tensor, teacher: Tensor, past: Tensor) -> Tensor:
    """TD: image by image and frame by frame."""
    total = 0.0
    for s, t, frames in zip(student, teacher, past, strict=True):
        s, t = F.normalize(s, dim=1), F.normalize(t, dim=1)
        for frame in frames:
            anchors = F.normalize(frame, dim=1)
            ours, theirs = ((x @ anchors.T / 0.1).log_softmax(1) for x in (s, t))
            total = total + (ours.exp() * (ours - theirs)).sum()
    return total / (student.shape[0] * student.shape[1])


def _bernoulli(student: Tensor, teacher: Tensor) -> Tensor:
    p, q = teacher.sigmoid(), student.sigmoid()
    return (p * (p.log() - q.log()) + (1 - p) * ((1 - p).log() - (1 - q).log())).sum(-1)


def _distance(student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
    """RD of pairs: logits and codes (P, .)."""
    code_weights = torch.tensor([1.0] * 8 + [0.2] * 2)
    return ((student[1] - teacher[1]).abs() * code_weights).sum(1) + _bernoulli(student[0], teacher[0])


def quality_response(
    student: dict[str, Tensor], teacher: dict[str, Tensor], quality: Tensor, pairs: dict[str, Tensor]
) -> Tensor:
    """RD: image by image, matched predictions gathered."""
    total = divisor = 0.0
    for image in range(len(quality)):
        ours, theirs = (pairs[side][image][pairs['valid'][image]] for side in ('student', 'teacher'))
        weights = quality[image][theirs]
        predictions = [(x['logits'][image][k], x['boxes'][image][k]) for x, k in ((student, ours), (teacher, theirs))]
        total = total + (weights * _distance(*predictions)).sum()
        divisor = divisor + weights.sum()
    return total / max(divisor.item(), 1)


def center_response(
    student: list[dict[str, Tensor]],
    teacher: list[dict[str, Tensor]],
    quality: list[Tensor],
    cells: list[Tensor],
) -> Tensor:
    """RD of CenterHeads: task by task and image by image, cells gathered."""
    total = divisor = 0.0
    for ours, theirs, weights, places in zip(student, teacher, quality, cells, strict=True):
        for image in range(len(weights)):
            kept = weights[image] > 0
            sides = []
            for head in (ours, theirs):
                read = {name: maps[image].flatten(1)[:, places[image][kept]].T for name, maps in head.items()}
                code = torch.cat([read[name] for name in ('reg', 'height', 'dim', 'rot', 'vel')], 1)
                sides.append((read['heatmap'], code))
            total = total + (weights[image][kept] * _distance(*sides)).sum()
            divisor = divisor + weights[image][kept].sum()
    return total / max(divisor.item(), 1)


def min_max(features: Tensor) -> Tensor:
    """MonoTAKD's normalisation by one minimum and maximum of the batch."""
    return (features - features.min()) / (features.max() - features.min())


def residual(teacher: Tensor, assistant: Tensor) -> Tensor:
    """MonoTAKD's target: absolute difference, small entries set to zero."""
    difference = (min_max(assistant) - teacher).abs()
    difference[difference < 0.6 * difference.max()] = 0
    return difference


def quality_focal(student: Tensor, teacher: Tensor, classes: int) -> Tensor:
    """CMKD's class term, on lists of anchors (B, N, classes)."""
    s, q = _anchors(student, classes), _anchors(teacher, classes).sigmoid()
    weight = (s.sigmoid() - q).abs().square()
    loss = F.binary_cross_entropy_with_logits(s, q, reduction='none') * weight
    positives = (q > 0.1).sum(1, keepdim=True).float()
    return (loss / positives.clamp(min=1)).sum() / len(s)


def _anchors(maps: Tensor, entries: int) -> Tensor:
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, entries)


def anchor_response(student: dict[str, Tensor], teacher: dict[str, Tensor], classes: int) -> Tensor:
    """CMKD's three terms of an anchor head, each over all anchors with weights."""
    trust = _anchors(teacher['cls'], classes).sigmoid().amax(2)
    positive = trust > 0.1
    weight = trust * positive / positive.sum(1, keepdim=True).clamp(min=1)
    s, t = (_anchors(head['box'], 7) for head in (student, teacher))
    s, t = (torch.cat([a[..., :6], a[..., 6:].sin() * b[..., 6:].cos()], 2) for a, b in ((s, t), (t, s)))
    error = (s - t).abs()
    box = torch.where(error < 1 / 9, error.square() * 4.5, error - 1 / 18)
    s, t = (_anchors(head['dir'], 2) for head in (student, teacher))
    direction = F.cross_entropy(s.permute(0, 2, 1), t.argmax(2), reduction='none')
    total = 2 * quality_focal(student['cls'], teacher['cls'], classes)
    total = total + 2 * (box * weight.unsqueeze(2)).sum() / len(s)
    return total + 0.4 * (direction * weight).sum() / len(s)


def info_nce(student: Tensor, teacher: Tensor) -> Tensor:
    """BEVDistill: cross entropy of the similarities of each image, the diagonal as labels."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        logits = F.normalize(t, dim=1) @ F.normalize(s, dim=1).T / 0.07
        total = total + F.cross_entropy(logits, torch.arange(len(s)))
    return total / len(student)


def scored_response(student: dict[str, Tensor], teacher: dict[str, Tensor], valid: Tensor) -> Tensor:
    """BEVDistill's response: matched pairs of all images gathered."""
    s, t = ({name: x[valid] for name, x in side.items()} for side in (student, teacher))
    scores = t['logits'].sigmoid().max(1).values
    distance = _bernoulli(s['logits'], t['logits']) + 0.25 * (s['boxes'] - t['boxes']).abs().sum(1)
    return (scores * distance).sum() / scores.sum()


def partial_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """UVTR: squared distance where it is asked for."""
    kept = ((student > teacher) | (teacher > 0)).float()
    return (F.mse_loss(student, teacher, reduction='none') * kept).sum(2).mean()


def pearson(student: Tensor, teacher: Tensor) -> Tensor:
    """PKD: channels normalised over the batch."""

    def normalised(features: Tensor) -> Tensor:
        rows = features.permute(1, 0, 2, 3).reshape(features.shape[1], -1)
        rows = (rows - rows.mean(1, keepdim=True)) / (rows.std(1, keepdim=True) + 1e-6)
        return rows.reshape(features.shape[1], len(features), *features.shape[2:]).permute(1, 0, 2, 3)

    return F.mse_loss(normalised(student), normalised(teacher)) / 2


def gaussian_foreground(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """BEVDistill's dense term."""
    return ((student - teacher).square() * mask.unsqueeze(1)).sum() / mask.sum()


def region_decomposed(
    student: Tensor, teacher: Tensor, regions: dict[str, Tensor], weights: dict[str, float]
) -> Tensor:
    """DistillBEV: attention, then one masked distance per region."""

    def attention(features: Tensor) -> Tensor:
        size = features.abs().mean(1).flatten(1) / 0.5
        return (size.shape[1] * size.softmax(1)).view(len(features), 1, *features.shape[2:])

    both = ((attention(student) + attention(teacher)) / 2).detach()
    total = 0.0
    for name, region in regions.items():
        distance = F.mse_loss(student, teacher, reduction='none') * region.unsqueeze(1) * both
        total = total + weights[name] * distance.sum()
    return total / len(student)


def key_point_feature(student: Tensor, teacher: Tensor) -> Tensor:
    """UniDistill's feature term of sampled key points (B, N, 9, C), sample by sample."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        total = total + (s - t).abs().mean((1, 2)).sum()
    return total / (student.shape[0] * student.shape[1])


def key_point_relation(student: Tensor, teacher: Tensor) -> Tensor:
    """UniDistill's relation term, sample by sample."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        s, t = (F.normalize(x, dim=2) for x in (s, t))
        total = total + (s @ s.transpose(1, 2) - t @ t.transpose(1, 2)).abs().mean((1, 2)).sum()
    return total / (student.shape[0] * student.shape[1])


def gaussian_response(student: list[dict[str, Tensor]], teacher: list[dict[str, Tensor]], mask: Tensor) -> Tensor:
    """UniDistill's response: all probabilities and all regression maps side by side."""
    ours, theirs = (torch.cat([task['heatmap'] for task in head], 1).sigmoid() for head in (student, teacher))
    total = ((ours.max(1).values - theirs.max(1).values).abs() * mask).sum() / mask.sum()
    ours, theirs = (
        torch.cat([maps for task in head for name, maps in task.items() if name != 'heatmap'], 1)
        for head in (student, teacher)
    )
    return total + ((ours - theirs).abs().mean(1) * mask).sum() / mask.sum()


def channel_mean(student: Tensor, teacher: Tensor) -> Tensor:
    """DistillBEV's spatial term."""
    return (student.mean(1) - teacher.mean(1)).abs().sum() / len(student)
