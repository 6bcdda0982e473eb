"""Losses of MonoDistill and MonoSKD."""

from __future__ import annotations

import torch

from loss_cases.case import Arguments, Case
from mono_distill import losses

BATCH = 3


def levels(dtype):
    """Two levels of an image of 32 x 48 pixels, at strides 8 and 16."""
    return [torch.randn(BATCH, 3, 4, 6, dtype=dtype), torch.randn(BATCH, 4, 2, 3, dtype=dtype)]


def features(dtype=torch.float32) -> Arguments:
    return dict(student=levels(dtype), teacher=levels(dtype))


def head(dtype):
    """Output of a MonoDLE-type head for an image of 24 x 32 pixels."""
    channels = dict(offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
    return {name: torch.randn(BATCH, c, 6, 8, dtype=dtype) for name, c in channels.items()}


def some_objects():
    """Up to two objects per image; the last image has none."""
    none = [0.0] * 4
    boxes = [[[2.0, 2.0, 18.0, 18.0], [12.0, 8.0, 30.0, 22.0]], [[4.0, 4.0, 22.0, 20.0], none], [none, none]]
    return dict(
        bboxes=torch.tensor(boxes),
        indices=torch.tensor([[18, 29], [27, 0], [0, 0]]),
        mask_2d=torch.tensor([[True, True], [True, False], [False, False]]),
        heading_bin=torch.tensor([[3, 11], [5, 0], [0, 0]]),
    )


def features_and_objects(dtype=torch.float32) -> Arguments:
    return {**features(dtype), 'targets': some_objects()}


def heads_and_objects(dtype=torch.float32) -> Arguments:
    return dict(student=head(dtype), teacher=head(dtype), targets=some_objects())


def objects_nowhere() -> Arguments:
    return dict(targets={name: torch.zeros_like(value) for name, value in some_objects().items()})


def objects_outside() -> Arguments:
    targets = some_objects()
    targets['bboxes'] = torch.tensor([500.0, 500.0, 530.0, 530.0]).expand(BATCH, 2, 4)
    targets['mask_2d'] = torch.zeros(BATCH, 2, dtype=torch.bool)
    return dict(targets=targets)


def objects_without_slots() -> Arguments:
    return dict(targets={name: value[:, :0] for name, value in some_objects().items()})


def one_object() -> Arguments:
    first = {key: value[1:2, :1] for key, value in some_objects().items()}
    return dict(targets={key: value.expand(BATCH, *[-1] * (value.dim() - 1)) for key, value in first.items()})


NO_OBJECTS = dict(nowhere=objects_nowhere, outside=objects_outside, without_slots=objects_without_slots)

CASES = {
    'spearman_rank': Case(losses.spearman_loss, 'SpearmanLoss', features, compiles=False, exact_zero=False, degree=0),
    'spearman_rank_loose': Case(
        losses.spearman_loss, 'SpearmanLoss', features, dict(eps=5.0), compiles=False, exact_zero=False, degree=0
    ),
    'spearman_released': Case(losses.spearman_loss, 'SpearmanLoss', features, dict(form='released'), exact_zero=False),
    'spearman_soft_rank_teacher': Case(
        losses.spearman_loss,
        'SpearmanLoss',
        features,
        dict(form='soft_rank_teacher', eps=0.01),
        compiles=False,
        exact_zero=False,
    ),
    'spearman_soft_rank_student': Case(
        losses.spearman_loss,
        'SpearmanLoss',
        features,
        dict(form='soft_rank_student', eps=0.1),
        compiles=False,
        exact_zero=False,
    ),
    'scene_affinity': Case(losses.scene_affinity_loss, 'SceneAffinityLoss', features, degree=2, any_width=True),
    'local_affinity': Case(
        losses.local_affinity_loss, 'LocalAffinityLoss', features, dict(ref_batch=4), degree=2, any_width=True
    ),
    'foreground_l2': Case(
        losses.foreground_l2_loss,
        'ForegroundL2Loss',
        features_and_objects,
        dict(strides=(8, 16)),
        degree=2,
        without_objects=NO_OBJECTS,
        one_object=one_object,
        nan_teacher='ignored',
    ),
    'monodle_response': Case(
        losses.monodle_response_loss,
        'MonoDLEResponseLoss',
        heads_and_objects,
        without_objects=NO_OBJECTS,
        one_object=one_object,
    ),
    'monodle_response_official': Case(
        losses.monodle_response_loss,
        'MonoDLEResponseLoss',
        heads_and_objects,
        dict(heading_slots='all', include_origin_pixel=True),
        one_object=one_object,
    ),
}
