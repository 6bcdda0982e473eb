"""Losses of CMKD and MonoTAKD."""

from __future__ import annotations

import torch

from loss_cases.case import Arguments, Case
from mono_distill.losses.anchor_response import anchor_response_loss
from mono_distill.losses.feature_mse import feature_mse_loss
from mono_distill.losses.quality_focal import quality_focal_loss

BATCH = 3
CLASSES, ANCHORS = 3, 2


def bev(dtype):
    return torch.randn(BATCH, 4, 5, 6, dtype=dtype)


def features(dtype=torch.float32) -> Arguments:
    return dict(student=bev(dtype), teacher=bev(dtype))


def levels(dtype=torch.float32) -> Arguments:
    return {side: [bev(dtype), torch.randn(BATCH, 6, 2, 3, dtype=dtype)] for side in ('student', 'teacher')}


def rectified(dtype=torch.float32) -> Arguments:
    """Maps without negatives, the last row of the teacher empty."""
    maps = {side: bev(dtype).abs() for side in ('student', 'teacher')}
    maps['teacher'][:, :, -1] = 0
    return maps


def masked(dtype=torch.float32) -> Arguments:
    return dict(**features(dtype), mask=torch.rand(BATCH, 5, 6) * (torch.rand(BATCH, 5, 6) < 0.5))


def no_mask() -> Arguments:
    return dict(mask=torch.zeros(BATCH, 5, 6))


def one_place() -> Arguments:
    mask = torch.zeros(BATCH, 5, 6, dtype=torch.bool)
    mask[:, 2, 3] = True
    return dict(mask=mask)


def head(dtype):
    channels = dict(cls=ANCHORS * CLASSES, box=ANCHORS * 7, dir=ANCHORS * 2)
    return {name: torch.randn(BATCH, c, 4, 5, dtype=dtype) for name, c in channels.items()}


def heads(dtype=torch.float32) -> Arguments:
    """The teacher finds something at some anchors only."""
    student, teacher = head(dtype), head(dtype)
    teacher['cls'] = 2 * teacher['cls'] - 3
    return dict(student=student, teacher=teacher)


def cls_maps(dtype=torch.float32) -> Arguments:
    return {side: maps['cls'] for side, maps in heads(dtype).items()}


CASES = {
    'feature_mse': Case(feature_mse_loss, 'FeatureMSELoss', levels, degree=2),
    'feature_mse_masked': Case(
        feature_mse_loss,
        'FeatureMSELoss',
        masked,
        degree=2,
        without_objects=dict(no_mask=no_mask),
        one_object=one_place,
    ),
    'feature_mse_empty_weight': Case(feature_mse_loss, 'FeatureMSELoss', rectified, dict(empty_weight=0.05), degree=2),
    'feature_mse_released': Case(
        feature_mse_loss, 'FeatureMSELoss', features, dict(normalize='minmax', statistics='batch'), degree=0
    ),
    'feature_mse_minmax_of_images': Case(
        feature_mse_loss, 'FeatureMSELoss', features, dict(normalize='minmax'), degree=0
    ),
    'feature_mse_standard': Case(feature_mse_loss, 'FeatureMSELoss', features, dict(normalize='standard')),
    'feature_mse_sum_mode': Case(
        feature_mse_loss,
        'FeatureMSELoss',
        rectified,
        dict(compare='channel_mean', normalize='mean', statistics='batch'),
        degree=0,
    ),
    'quality_focal': Case(quality_focal_loss, 'QualityFocalLoss', cls_maps, dict(num_classes=CLASSES)),
    'quality_focal_released': Case(
        quality_focal_loss, 'QualityFocalLoss', cls_maps, dict(num_classes=CLASSES, images='sum')
    ),
    'quality_focal_of_heatmaps': Case(quality_focal_loss, 'QualityFocalLoss', levels, dict(beta=1.0)),
    'anchor_response': Case(anchor_response_loss, 'AnchorResponseLoss', heads, exact_zero=False),
    'anchor_response_released': Case(
        anchor_response_loss,
        'AnchorResponseLoss',
        heads,
        dict(confidence='sum', cls_images='sum'),
        exact_zero=False,
    ),
    'anchor_response_kl': Case(anchor_response_loss, 'AnchorResponseLoss', heads, dict(direction='kl')),
    'anchor_response_without_direction': Case(
        anchor_response_loss, 'AnchorResponseLoss', heads, dict(direction=None), unused=(2,)
    ),
}
