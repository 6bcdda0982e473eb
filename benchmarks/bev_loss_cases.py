"""The losses on BEV maps, queries and anchors that benchmarks/losses.py compares, with their inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import reference_bev_losses as reference
import torch
from comparison import Case
from kernel_cases import BEV, MAP, REACH, TASKS, mmdet3d_heatmaps, random_boxes
from reference_kernels import key_point_features
from torch import Tensor

from mono_distill import losses, ops
from mono_distill.targets import bev_gaussian_mask, residual_target

KITTI = (188, 140)
IMAGES, QUERIES, OBJECTS = 4, 900, 40
MAPS = dict(reg=2, height=1, dim=3, rot=2, vel=2)


def bev_losses() -> Iterator[Case]:
    """All rows, each with inputs of its own so that they need not be held together."""
    yield from stxd()
    yield from monotakd()
    yield from queries()
    yield from dense()
    yield from unidistill()


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    """Random numbers of a student and a teacher."""
    return torch.randn(shape, requires_grad=True), torch.randn(shape)


def predictions(count: int, **options: bool) -> dict[str, Tensor]:
    """Logits of ten classes and box codes."""
    return {name: torch.randn(IMAGES, count, 10, **options) for name in ('logits', 'boxes')}


def head(images: int, **options: bool) -> list[dict[str, Tensor]]:
    """Outputs of a CenterHead of six tasks."""
    return [
        {name: torch.randn(images, c, *MAP, **options) for name, c in dict(heatmap=classes, **MAPS).items()}
        for classes in TASKS
    ]


def leaves_of(heads: list[dict[str, Tensor]]) -> list[Tensor]:
    """All maps of a head."""
    return [x for task in heads for x in task.values()]


def two(name: str, form: str, slow: Callable, fast: Callable, student: Tensor, *others: Tensor) -> Case:
    """A loss of a student's tensor and others."""
    return Case(
        name,
        form,
        lambda: slow(student, *others),
        lambda: fast(student, *others),
        leaves=[student],
        inputs=list(others),
    )


def stxd() -> Iterator[Case]:
    """CD, TD and RD at 900 points."""
    points = f'{IMAGES} x {QUERIES} points x 256'
    s, t = pair(IMAGES, QUERIES, 256)
    yield two(f'STXD CD, {points}', 'formula', reference.cross_correlation, losses.cross_correlation_loss, s, t)
    past = torch.randn(IMAGES, 3, QUERIES, 256)
    yield two(
        f'STXD TD, {points}, 3 frames',
        'loop over images and frames',
        reference.temporal_similarity,
        losses.temporal_similarity_loss,
        s,
        t,
        past,
    )
    student, teacher = predictions(QUERIES, requires_grad=True), predictions(300)
    quality = torch.rand(IMAGES, 300) * (torch.rand(IMAGES, 300) < 0.2)
    orders = {
        side: [torch.randperm(n)[:300] for _ in range(IMAGES)] for side, n in (('student', 900), ('teacher', 300))
    }
    pairs = {side: torch.stack(order) for side, order in orders.items()}
    pairs['valid'] = torch.arange(300).expand(IMAGES, -1) < 280
    yield Case(
        f'STXD RD, {IMAGES} x 300 pairs',
        'loop over images, pairs gathered',
        lambda: reference.quality_response(student, teacher, quality, pairs),
        lambda: losses.quality_response_loss(student, teacher, quality, pairs),
        leaves=list(student.values()),
        inputs=[*teacher.values(), quality, *pairs.values()],
    )
    ours, theirs = head(IMAGES, requires_grad=True), head(IMAGES)
    qualities = [torch.rand(IMAGES, 80) * (torch.arange(80) < 12) for _ in TASKS]
    cells = [torch.randint(MAP[0] * MAP[1], (IMAGES, 80)) for _ in TASKS]
    yield Case(
        f'STXD RD of CenterHeads, {IMAGES} x 72 objects',
        'loop over tasks and images, cells gathered',
        lambda: reference.center_response(ours, theirs, qualities, cells),
        lambda: losses.center_response_loss(ours, theirs, qualities, cells),
        # Gradients of whole maps are written, but only the cells are read.
        leaves=leaves_of(ours),
    )


def monotakd() -> Iterator[Case]:
    """IMD, CMRD and logit distillation on the BEV grid of KITTI."""
    shape = f'2 x 64 x {KITTI[0]} x {KITTI[1]}'
    s, t = pair(2, 64, *KITTI)
    yield two(f'MonoTAKD IMD, {shape}', 'formula', lambda s, t: (s - t).square().mean(), losses.feature_mse_loss, s, t)
    yield two(
        f'MonoTAKD IMD, released scaling, {shape}',
        'maps scaled, then compared',
        lambda s, t: (reference.min_max(s) - reference.min_max(t)).square().mean(),
        lambda s, t: losses.feature_mse_loss(s, t, normalize='minmax', statistics='batch'),
        s,
        t,
    )
    assistant = torch.randn(2, 64, *KITTI)
    released = dict(mode='absolute', normalize='assistant_minmax', statistics='batch')
    yield Case(
        f'MonoTAKD residual target, {shape}',
        'formula',
        lambda: reference.residual(t, assistant),
        lambda: residual_target(t, assistant, **released),
        inputs=[t, assistant],
    )
    channels = dict(cls=18, box=42, dir=12)
    student = {name: torch.randn(2, c, *KITTI, requires_grad=True) for name, c in channels.items()}
    teacher = {name: torch.randn(2, c, *KITTI) for name, c in channels.items()}
    teacher['cls'] = 2 * teacher['cls'] - 7
    anchors = f'2 x {6 * KITTI[0] * KITTI[1]} anchors'
    yield two(
        f'MonoTAKD quality focal, {anchors}',
        'lists of anchors',
        lambda s, t: reference.quality_focal(s, t, 3),
        lambda s, t: losses.quality_focal_loss(s, t, num_classes=3),
        student['cls'],
        teacher['cls'],
    )
    yield Case(
        f'MonoTAKD anchor response, {anchors}',
        'lists of anchors',
        lambda: reference.anchor_response(student, teacher, 3),
        lambda: losses.anchor_response_loss(student, teacher, num_classes=3),
        leaves=list(student.values()),
        inputs=list(teacher.values()),
    )


def queries() -> Iterator[Case]:
    """Losses at the queries of a decoder."""
    s, t = pair(IMAGES, QUERIES, 256)
    points = f'{IMAGES} x {QUERIES} points x 256'
    yield two(f'BEVDistill InfoNCE, {points}', 'loop over images', reference.info_nce, losses.info_nce_loss, s, t)
    yield two(f'UVTR partial MSE, {points}', 'formula', reference.partial_mse, losses.partial_mse_loss, s, t)
    student, teacher = predictions(50, requires_grad=True), predictions(50)
    valid = torch.rand(IMAGES, 50) < 0.8
    yield Case(
        f'BEVDistill response, {IMAGES} x 50 pairs',
        'pairs gathered',
        lambda: reference.scored_response(student, teacher, valid),
        lambda: losses.scored_response_loss(student, teacher, valid),
        leaves=list(student.values()),
        inputs=[*teacher.values(), valid],
    )


def dense() -> Iterator[Case]:
    """Losses on whole BEV maps, and the mask of one."""
    boxes = random_boxes(2, OBJECTS)
    yield Case(
        f'BEV Gaussian mask, {IMAGES} x {OBJECTS} objects',
        "mmdet3d's draw_heatmap_gaussian",
        *gaussian_masks(random_boxes(IMAGES, OBJECTS)),
    )
    s, t = pair(2, 256, *MAP)
    shape = f'2 x 256 x {MAP[0]} x {MAP[1]}'
    mask = bev_gaussian_mask(boxes, size=MAP, **BEV)
    yield two(
        f'BEVDistill Gaussian foreground, {shape}',
        'formula',
        reference.gaussian_foreground,
        losses.gaussian_foreground_loss,
        s,
        t,
        mask,
    )
    yield two(
        f'PKD (Pearson), {shape}',
        'channels normalised, then compared',
        reference.pearson,
        lambda s, t: losses.pearson_loss(s, t, unbiased=True),
        s,
        t,
    )
    scales = ops.bev_box_scales(boxes, MAP, **BEV)
    outside = (scales == 0).float()
    regions = dict(
        foreground=scales,
        background=outside / outside.sum((1, 2), keepdim=True),
        false_positive=(torch.rand(2, *MAP) < 0.01) * outside / 160,
    )
    weights = dict(foreground=6e-3, background=4e-2, false_positive=6e-2)
    yield Case(
        f'DistillBEV regions, {shape}',
        'one distance per region',
        lambda: reference.region_decomposed(s, t, regions, weights),
        lambda: losses.region_decomposed_loss(s, t, regions),
        leaves=[s],
        inputs=[t, *regions.values()],
    )
    yield two(
        f'DistillBEV channel means, {shape}', 'formula', reference.channel_mean, losses.channel_mean_l1_loss, s, t
    )


def gaussian_masks(boxes: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """Both forms of BEVDistill's mask; the loop is told centres and radii."""
    cells = ((boxes[..., :2] + REACH) * (MAP[0] / (2 * REACH))).floor().long()
    sides = boxes[..., 3:5] * (MAP[0] / (2 * REACH))
    radii = ops.heatmap_radii(sides[..., 1], sides[..., 0], min_overlap=0.1, min_radius=1)
    return lambda: mmdet3d_heatmaps(cells, radii, MAP)[:, 0], lambda: bev_gaussian_mask(boxes, size=MAP, **BEV)


def unidistill() -> Iterator[Case]:
    """Key points and response."""
    boxes = random_boxes(IMAGES, OBJECTS)
    s, t = pair(IMAGES, 80, *MAP)
    for name, slow, fast in (
        ('feature', reference.key_point_feature, losses.key_point_feature_loss),
        ('relation', reference.key_point_relation, losses.key_point_relation_loss),
    ):

        def straightforward(slow=slow):
            return slow(*(key_point_features(x, boxes, REACH) for x in (s, t)))

        def ours(fast=fast):
            points = ops.bev_key_points(boxes)
            return fast(*(ops.sample_bev(x, points, **BEV) for x in (s, t)))

        yield Case(
            f'UniDistill key points, {name}, {IMAGES} x {OBJECTS} objects',
            'loop over boxes, grid_sample per sample',
            straightforward,
            ours,
            # The gradient of the whole map is written; of the teacher, only the points are read.
            leaves=[s],
        )
    ours, theirs = head(IMAGES, requires_grad=True), head(IMAGES)
    mask = bev_gaussian_mask(boxes, size=MAP, **BEV)
    yield Case(
        f'UniDistill response, {IMAGES} images',
        'all maps side by side',
        lambda: reference.gaussian_response(ours, theirs, mask),
        lambda: losses.gaussian_response_loss(ours, theirs, mask),
        leaves=leaves_of(ours),
        inputs=[*leaves_of(theirs), mask],
    )
