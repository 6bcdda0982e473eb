"""The losses on images that benchmarks/losses.py compares, with their inputs at the size of DLA-34 on KITTI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import reference_losses as reference
import torch
from comparison import Case
from torch import Tensor
from torch.nn import functional as F

import mono_distill  # noqa: F401  (prepares mmcv-lite before mmcv is imported)
from mono_distill import losses, ops

STRIDES = (4, 8, 16, 32)
CHANNELS = (64, 128, 256, 512)
IMAGE = (384, 1280)
NUMBERS = 245760  # of an image at the coarsest level: 512 x 12 x 40
DTYPES = (torch.float32, torch.float64)
BATCH, OBJECTS, SLOTS = 4, 10, 50


class Inputs:
    """Random features, head outputs and objects of one batch."""

    def __init__(self) -> None:
        sizes = [(IMAGE[0] // s, IMAGE[1] // s) for s in STRIDES]
        shapes = [(BATCH, c, *size) for c, size in zip(CHANNELS, sizes, strict=True)]
        self.student = [torch.randn(shape, requires_grad=True) for shape in shapes]
        self.teacher = [torch.randn(shape).relu() for shape in shapes]
        corner = torch.rand(BATCH, OBJECTS, 2) * torch.tensor([1000.0, 250.0])
        boxes = torch.cat([corner, corner + 20 + torch.rand(BATCH, OBJECTS, 2) * torch.tensor([200.0, 100.0])], 2)
        centre = ((boxes[..., :2] + boxes[..., 2:]) / 8).long()
        self.targets = dict(
            bboxes=boxes,
            indices=centre[..., 1] * sizes[0][1] + centre[..., 0],
            mask_2d=torch.ones(BATCH, OBJECTS, dtype=torch.bool),
            heading_bin=torch.randint(12, (BATCH, OBJECTS)),
        )
        empty = SLOTS - OBJECTS
        self.padded = {k: F.pad(v, [0, 0] * (v.dim() - 2) + [0, empty]) for k, v in self.targets.items()}
        self.weights = torch.rand(BATCH, OBJECTS)
        self.log_scale = torch.randn(BATCH, SLOTS)


def image_losses() -> Iterator[Case]:
    """All rows."""
    yield from rankings()
    x = Inputs()
    yield from correlations(x)
    yield from masks(x)
    yield from objects(x)
    yield from responses(x)


def rankings() -> Iterator[Case]:
    """Soft and hard ranks."""
    for dtype in DTYPES:
        rows = torch.randn(BATCH, NUMBERS, dtype=dtype, requires_grad=True)
        shape = f'{BATCH} x {NUMBERS} {str(dtype).removeprefix("torch.")}'
        for label, eps, keys in [('linear, eps 1', 1.0, None), ('eps 2 sigma / n', 2 / NUMBERS, rows.detach())]:

            def walk(rows=rows, eps=eps):
                return reference.SequentialSoftRank.apply(rows, eps, reference.walk)

            def torchsort(rows=rows, eps=eps):
                return reference.torchsort.soft_rank(rows, regularization_strength=eps)

            def ours(rows=rows, eps=eps):
                return ops.soft_rank(rows, eps)

            package = torchsort if reference.torchsort else None
            for form, slow in (('sort and sequential walk', walk), ('torchsort', package)):
                yield Case(f'soft rank {shape}, {label}', form, slow, ours, leaves=[rows], keys=keys)
        yield Case(
            f'hard rank {shape}, ties averaged',
            'scipy.stats.rankdata',
            lambda rows=rows: reference.average_ranks(rows.detach()),
            lambda rows=rows: ops.average_ranks(rows.detach()),
            keys=rows.detach(),
        )


def correlations(x: Inputs) -> Iterator[Case]:
    """Losses of whole maps."""
    s, t, ranked = x.student, x.teacher, 'soft ranks by a sequential walk'
    for name, form, slow, fast in (
        (
            'Spearman, released (teacher soft-ranked, eps 1)',
            ranked,
            lambda: reference.spearman_one_sided(s, t, 'teacher'),
            lambda: losses.spearman_loss(s, t, form='released'),
        ),
        (
            'Spearman, student soft-ranked, eps 1',
            ranked,
            lambda: reference.spearman_one_sided(s, t, 'student'),
            lambda: losses.spearman_loss(s, t, form='soft_rank_student'),
        ),
        (
            'Spearman, both sides ranked (default)',
            f"{ranked}, scipy's ranks",
            lambda: reference.spearman_two_sided(s, t, 2.0),
            lambda: losses.spearman_loss(s, t),
        ),
        (
            'scene affinity',
            'two Gram matrices per level',
            lambda: reference.affinity(s, t),
            lambda: losses.scene_affinity_loss(s, t),
        ),
    ):
        yield Case(f'{name}, 4 levels', form, slow, fast, leaves=s, inputs=t)
    yield Case(
        'local affinity, 2 levels',
        'loop over tiles',
        lambda: reference.local_affinity(s[2:], t[2:]),
        lambda: losses.local_affinity_loss(s[2:], t[2:]),
        leaves=s[2:],
        inputs=t[2:],
    )


def masks(x: Inputs) -> Iterator[Case]:
    """Masks and maps of boxes."""
    boxes, indices, valid = (x.targets[name] for name in ('bboxes', 'indices', 'mask_2d'))
    for strides in (STRIDES, STRIDES[1:]):
        yield Case(
            f'box masks, {len(strides)} levels, {BATCH} x {OBJECTS} objects',
            'loop over objects',
            lambda strides=strides: _maps(reference.box_mask, strides, boxes),
            lambda strides=strides: _maps(ops.box_masks, strides, boxes),
            inputs=[boxes],
        )
    yield Case(
        f'DASFD weight maps, 3 levels, {BATCH} x {OBJECTS} objects',
        'loop over objects',
        lambda: _maps(reference.box_weight_maps, STRIDES[1:], boxes, x.weights, indices),
        lambda: _maps(ops.box_weight_maps, STRIDES[1:], boxes, x.weights),
        inputs=[boxes, x.weights],
    )
    size = (IMAGE[0] // 4, IMAGE[1] // 4)
    yield Case(
        f'Gaussian squares, stride 4, {BATCH} x {OBJECTS} objects',
        'loop over objects, Gaussians drawn',
        lambda: reference.gaussian_mask(boxes, size, 4),
        lambda: ops.gaussian_square_masks(boxes, valid, size, stride=4),
        inputs=[boxes],
    )


def objects(x: Inputs) -> Iterator[Case]:
    """Losses on the features of objects."""
    yield Case(
        'foreground L2, 4 levels',
        'loop over objects, masked features gathered',
        lambda: reference.foreground(x.student, x.teacher, x.targets['bboxes'], STRIDES),
        lambda: losses.foreground_l2_loss(x.student, x.teacher, x.targets, strides=STRIDES),
        leaves=x.student,
        inputs=x.teacher,
    )
    s, t, strides, targets, log_scale = x.student[1:], x.teacher[1:], STRIDES[1:], x.padded, x.log_scale
    where = f'3 levels, {BATCH} x {OBJECTS} objects in {SLOTS} slots'
    listed, gathered = 'list of objects, RoIAlign', 'loop over objects, masked features gathered'
    for name, form, slow, fast in (
        (
            'DASFD',
            gathered,
            lambda: reference.selective_feature(s, t, x.log_scale[:, :OBJECTS], x.targets, strides),
            lambda: losses.selective_feature_loss(s, t, log_scale, targets, strides=strides),
        ),
        (
            'DASRD',
            listed,
            lambda: reference.selective_relation(s, t, log_scale, targets, strides),
            lambda: losses.selective_relation_loss(s, t, log_scale, targets, strides=strides),
        ),
        (
            'RoI affinity',
            listed,
            lambda: reference.roi_affinity(s, t, targets, strides),
            lambda: losses.roi_affinity_loss(s, t, targets, strides=strides),
        ),
    ):
        yield Case(f'{name}, {where}', form, slow, fast, leaves=s, inputs=t)


def responses(x: Inputs) -> Iterator[Case]:
    """Losses on the outputs of heads."""
    outputs = dict(offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
    shapes = {name: (BATCH, channels, IMAGE[0] // 4, IMAGE[1] // 4) for name, channels in outputs.items()}
    yield _response('MonoDLE', shapes, x.targets, reference.response, losses.monodle_response_loss)
    lists = dict(offset_3d=(2,), size_3d=(3,), heading=(24,), vis_depth=(7, 7), att_depth=(7, 7), ins_depth=(7, 7))
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        ('offset_2d', 'size_2d'), (BATCH, 2, IMAGE[0] // 4, IMAGE[1] // 4)
    )
    shapes.update({name: (BATCH, SLOTS, *shape) for name, shape in lists.items()})
    yield _response('DID', shapes, x.padded, reference.did_response, losses.did_response_loss)


def _response(
    name: str, shapes: dict[str, tuple[int, ...]], targets: dict[str, Tensor], slow: Callable, fast: Callable
) -> Case:
    student = {key: torch.randn(shape, requires_grad=True) for key, shape in shapes.items()}
    teacher = {key: torch.randn(shape) for key, shape in shapes.items()}
    return Case(
        f'{name} response, {BATCH} x {OBJECTS} objects',
        'loop over objects, masked outputs gathered',
        lambda: slow(student, teacher, targets),
        lambda: fast(student, teacher, targets),
        leaves=list(student.values()),
        inputs=list(teacher.values()),
    )


def _maps(function: Callable[..., Any], strides: Sequence[int], *tensors: Tensor) -> Tensor:
    found = [function(*tensors, (IMAGE[0] // stride, IMAGE[1] // stride), stride=stride) for stride in strides]
    maps = [values for level in found for values in (level if isinstance(level, tuple) else (level,))]
    return torch.cat([values.flatten() for values in maps])
