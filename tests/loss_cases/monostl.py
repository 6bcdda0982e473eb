"""Losses of MonoSTL, and the response loss of MonoSKD's own detector."""

from __future__ import annotations

import torch

from loss_cases.case import Arguments, Case
from loss_cases.monodistill import BATCH, NO_OBJECTS, features_and_objects, one_object, some_objects
from mono_distill.losses.object_relation import roi_affinity_loss, selective_relation_loss
from mono_distill.losses.response_did import did_response_loss
from mono_distill.losses.selective_feature import selective_feature_loss

STRIDES = dict(strides=(8, 16))


def features_and_uncertain_objects(dtype=torch.float32) -> Arguments:
    """The depth output holds depth and log-scale; most objects are uncertain by more than a metre."""
    return dict(**features_and_objects(dtype), log_scale=torch.rand(BATCH, 2, 6, 8, dtype=dtype) * 1.5 - 0.2)


def did_head(dtype=torch.float32, slots=2):
    """Output of a DID-M3D-type head for an image of 24 x 32 pixels."""
    shapes = dict(offset_2d=(2, 6, 8), size_2d=(2, 6, 8), offset_3d=(slots, 2), size_3d=(slots, 3), heading=(slots, 24))
    shapes.update(dict.fromkeys(('vis_depth', 'att_depth', 'ins_depth'), (slots, 3, 3)))
    return {name: torch.randn(BATCH, *shape, dtype=dtype) for name, shape in shapes.items()}


def did_heads(dtype=torch.float32, slots=2) -> Arguments:
    return dict(student=did_head(dtype, slots), teacher=did_head(dtype, slots))


def did_heads_and_objects(dtype=torch.float32) -> Arguments:
    return dict(**did_heads(dtype), targets=some_objects())


DID_NO_OBJECTS = {**NO_OBJECTS, 'without_slots': lambda: {**did_heads(slots=0), **NO_OBJECTS['without_slots']()}}


def did_one_object() -> Arguments:
    return {**did_heads(slots=1), **one_object()}


CASES = {
    'selective_feature': Case(
        selective_feature_loss,
        'SelectiveFeatureLoss',
        features_and_uncertain_objects,
        STRIDES,
        degree=2,
        without_objects=NO_OBJECTS,
        one_object=one_object,
        nan_teacher='ignored',
    ),
    'selective_feature_by_teacher': Case(
        selective_feature_loss,
        'SelectiveFeatureLoss',
        features_and_uncertain_objects,
        dict(**STRIDES, weight_by='teacher', normalizer='weights', overlap='max', ref_batch=None),
        degree=2,
        without_objects=NO_OBJECTS,
        one_object=one_object,
        nan_teacher='ignored',
    ),
    'selective_relation': Case(
        selective_relation_loss,
        'SelectiveRelationLoss',
        features_and_uncertain_objects,
        STRIDES,
        degree=2,
        without_objects=NO_OBJECTS,
        one_object=one_object,
        any_width=True,
    ),
    'selective_relation_per_image': Case(
        selective_relation_loss,
        'SelectiveRelationLoss',
        features_and_uncertain_objects,
        dict(**STRIDES, param='variance', pairs='image', object_power=1, sampling_ratio=2),
        degree=2,
        without_objects=NO_OBJECTS,
        one_object=one_object,
        any_width=True,
    ),
    'roi_affinity': Case(
        roi_affinity_loss,
        'RoIAffinityLoss',
        features_and_objects,
        dict(**STRIDES, ref_objects=8),
        degree=2,
        without_objects=NO_OBJECTS,
        one_object=one_object,
        any_width=True,
    ),
    'did_response': Case(
        did_response_loss,
        'DIDResponseLoss',
        did_heads_and_objects,
        without_objects=DID_NO_OBJECTS,
        one_object=did_one_object,
    ),
    'did_response_official': Case(
        did_response_loss,
        'DIDResponseLoss',
        did_heads_and_objects,
        dict(dense_slots='all', include_origin_pixel=True),
        without_objects=DID_NO_OBJECTS,
        one_object=did_one_object,
    ),
}
