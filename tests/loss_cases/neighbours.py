"""Losses of PKD, UVTR, BEVDistill, DistillBEV and UniDistill."""

from __future__ import annotations

import torch

from loss_cases.case import Arguments, Case
from mono_distill.losses.channel_mean_l1 import channel_mean_l1_loss
from mono_distill.losses.gaussian_foreground import gaussian_foreground_loss
from mono_distill.losses.gaussian_response import gaussian_response_loss
from mono_distill.losses.info_nce import info_nce_loss
from mono_distill.losses.key_point import key_point_feature_loss, key_point_relation_loss
from mono_distill.losses.partial_mse import partial_mse_loss
from mono_distill.losses.pearson import pearson_loss
from mono_distill.losses.region_decomposed import region_decomposed_loss
from mono_distill.losses.scored_response import scored_response_loss

BATCH, HEIGHT, WIDTH = 3, 4, 6
REGIONS = ('foreground', 'background', 'false_positive')


def bev_map(dtype=torch.float32, channels=5):
    return torch.randn(BATCH, channels, HEIGHT, WIDTH, dtype=dtype)


def maps(dtype=torch.float32) -> Arguments:
    return dict(student=bev_map(dtype), teacher=bev_map(dtype))


def levels(dtype=torch.float32) -> Arguments:
    return {side: [bev_map(dtype), bev_map(dtype, channels=3)[:, :, ::2]] for side in ('student', 'teacher')}


def some_mask():
    """A Gaussian around one object per image; the last image has none."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing='ij')
    heat = torch.exp(-((y - 1) ** 2 + (x - 2) ** 2) / 3.0)
    return torch.stack([heat, heat.flip(1), torch.zeros_like(heat)])


def levels_and_masks(dtype=torch.float32) -> Arguments:
    return {**levels(dtype), 'mask': [some_mask(), some_mask()[:, ::2]]}


def no_masks() -> Arguments:
    return dict(mask=[torch.zeros_like(mask) for mask in (some_mask(), some_mask()[:, ::2])])


def some_regions():
    regions = {name: torch.rand(BATCH, HEIGHT, WIDTH) for name in REGIONS}
    regions['false_positive'][-1] = 0
    return regions


def maps_and_regions(dtype=torch.float32) -> Arguments:
    return {**maps(dtype), 'regions': some_regions()}


def no_regions() -> Arguments:
    return dict(regions={name: torch.zeros(BATCH, HEIGHT, WIDTH) for name in REGIONS})


def some_slots():
    """Up to three of four slots hold something; the last image has none."""
    return torch.tensor([[True, True, False, True], [True, False, False, False], [False, False, False, False]])


def points(dtype=torch.float32, slots=4) -> Arguments:
    return dict(
        student=torch.randn(BATCH, slots, 5, dtype=dtype),
        teacher=torch.randn(BATCH, slots, 5, dtype=dtype),
        valid=some_slots()[:, :slots],
    )


def key_points(dtype=torch.float32, slots=4) -> Arguments:
    return dict(
        student=torch.randn(BATCH, slots, 9, 5, dtype=dtype),
        teacher=torch.randn(BATCH, slots, 9, 5, dtype=dtype),
        valid=some_slots()[:, :slots],
    )


def predictions(dtype=torch.float32, slots=4) -> Arguments:
    sides = {
        side: dict(
            logits=torch.randn(BATCH, slots, 3, dtype=dtype),
            boxes=torch.randn(BATCH, slots, 10, dtype=dtype),
        )
        for side in ('student', 'teacher')
    }
    return {**sides, 'valid': some_slots()[:, :slots]}


def predictions_with_scores(dtype=torch.float32, slots=4) -> Arguments:
    arguments = predictions(dtype, slots)
    arguments['teacher']['scores'] = torch.rand(BATCH, slots, dtype=dtype)
    return arguments


def heads(dtype=torch.float32) -> Arguments:
    """Two tasks of a CenterPoint-type head."""

    def task(classes):
        shapes = dict(heatmap=classes, reg=2, dim=3)
        return {name: bev_map(dtype, channels) for name, channels in shapes.items()}

    return dict(student=[task(2), task(1)], teacher=[task(2), task(1)], mask=some_mask())


def nothing_valid() -> Arguments:
    return dict(valid=torch.zeros(BATCH, 4, dtype=torch.bool))


def no_slots(make):
    return lambda: make(slots=0)


def one_slot() -> Arguments:
    return dict(valid=torch.tensor([[False, True, False, False]]).expand(BATCH, 4))


def no_mask() -> Arguments:
    return dict(mask=torch.zeros(BATCH, HEIGHT, WIDTH))


CASES = {
    'pearson': Case(pearson_loss, 'PearsonLoss', levels, degree=0),
    'pearson_image': Case(pearson_loss, 'PearsonLoss', levels, dict(statistics='image', unbiased=True), degree=0),
    'partial_mse': Case(
        partial_mse_loss,
        'PartialMSELoss',
        points,
        degree=2,
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(points)),
        one_object=one_slot,
        channel_dim=-1,
    ),
    'gaussian_foreground': Case(
        gaussian_foreground_loss,
        'GaussianForegroundLoss',
        levels_and_masks,
        degree=2,
        without_objects=dict(no_masks=no_masks),
    ),
    'info_nce': Case(
        info_nce_loss,
        'InfoNCELoss',
        points,
        exact_zero=False,
        degree=0,
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(points)),
        channel_dim=-1,
    ),
    'info_nce_both': Case(
        info_nce_loss,
        'InfoNCELoss',
        points,
        dict(temperature=0.5, directions='both', negatives='batch'),
        exact_zero=False,
        degree=0,
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(points)),
        one_object=one_slot,
        channel_dim=-1,
    ),
    'scored_response': Case(
        scored_response_loss,
        'ScoredResponseLoss',
        predictions_with_scores,
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(predictions_with_scores)),
        one_object=one_slot,
        channel_dim=-1,
    ),
    'scored_response_released': Case(
        scored_response_loss,
        'ScoredResponseLoss',
        predictions,
        dict(class_weight=0.0, code_weights=(1.0,) * 8 + (0.2,) * 2, squared_score=True),
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(predictions)),
        one_object=one_slot,
        unused=(0,),
        channel_dim=-1,
    ),
    'region_decomposed': Case(
        region_decomposed_loss,
        'RegionDecomposedLoss',
        maps_and_regions,
        without_objects=dict(no_regions=no_regions),
        detached=True,
    ),
    'region_decomposed_channels': Case(
        region_decomposed_loss,
        'RegionDecomposedLoss',
        maps_and_regions,
        dict(attention='teacher', channel_attention='false_positive'),
        without_objects=dict(no_regions=no_regions),
    ),
    'region_decomposed_even': Case(
        region_decomposed_loss,
        'RegionDecomposedLoss',
        maps_and_regions,
        dict(region_weights=dict(foreground=1.0, background=0.5), attention='none'),
        degree=2,
        without_objects=dict(no_regions=no_regions),
    ),
    'channel_mean_l1': Case(channel_mean_l1_loss, 'ChannelMeanL1Loss', maps, degree=1),
    'key_point_feature': Case(
        key_point_feature_loss,
        'KeyPointFeatureLoss',
        key_points,
        degree=1,
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(key_points)),
        one_object=one_slot,
        channel_dim=-1,
    ),
    'key_point_relation': Case(
        key_point_relation_loss,
        'KeyPointRelationLoss',
        key_points,
        degree=0,
        without_objects=dict(nothing_valid=nothing_valid, no_slots=no_slots(key_points)),
        one_object=one_slot,
        channel_dim=-1,
        any_width=True,
    ),
    'gaussian_response': Case(
        gaussian_response_loss, 'GaussianResponseLoss', heads, without_objects=dict(no_mask=no_mask)
    ),
    'gaussian_response_released': Case(
        gaussian_response_loss,
        'GaussianResponseLoss',
        heads,
        dict(teacher_temperature=2.0),
        exact_zero=False,
        without_objects=dict(no_mask=no_mask),
    ),
}
