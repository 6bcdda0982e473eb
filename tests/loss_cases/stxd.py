"""Losses of STXD."""

from __future__ import annotations

import torch

from loss_cases.case import Arguments, Case
from mono_distill.losses.center_detections import center_detection_loss
from mono_distill.losses.center_response import center_response_loss
from mono_distill.losses.cross_correlation import cross_correlation_loss
from mono_distill.losses.quality_response import quality_response_loss
from mono_distill.losses.query_response import query_response_loss
from mono_distill.losses.temporal_similarity import temporal_similarity_loss

BATCH, POINTS, CHANNELS, FRAMES, ANCHORS = 3, 7, 4, 2, 5
CLASSES, STUDENTS, TEACHERS = 3, 6, 4


def points(dtype=torch.float32) -> Arguments:
    return dict(
        student=torch.randn(BATCH, POINTS, CHANNELS, dtype=dtype),
        teacher=torch.randn(BATCH, POINTS, CHANNELS, dtype=dtype),
    )


def masked_points(dtype=torch.float32) -> Arguments:
    """The last image has two points, the others have all."""
    valid = torch.ones(BATCH, POINTS, dtype=torch.bool)
    valid[-1, 2:] = False
    return dict(**points(dtype), valid=valid)


def no_point() -> Arguments:
    return dict(valid=torch.zeros(BATCH, POINTS, dtype=torch.bool))


def one_point() -> Arguments:
    return dict(valid=torch.arange(POINTS).expand(BATCH, POINTS) == 1)


def points_and_past(dtype=torch.float32) -> Arguments:
    return dict(**points(dtype), past=torch.randn(BATCH, FRAMES, ANCHORS, CHANNELS, dtype=dtype))


def masked_points_and_past(dtype=torch.float32) -> Arguments:
    """The first image lacks its second past frame, the second an anchor, the last has no past at all."""
    past = [torch.randn(BATCH, ANCHORS, CHANNELS, dtype=dtype) for _ in range(FRAMES)]
    past_valid = torch.ones(BATCH, FRAMES, ANCHORS, dtype=torch.bool)
    past_valid[0, 1], past_valid[1, 0, 3], past_valid[2] = False, False, False
    return dict(**masked_points(dtype), past=past, past_valid=past_valid)


def no_frame() -> Arguments:
    return dict(past_valid=torch.zeros(BATCH, FRAMES, dtype=torch.bool))


def predictions(count, dtype):
    return dict(
        logits=torch.randn(BATCH, count, CLASSES, dtype=dtype), boxes=torch.randn(BATCH, count, 10, dtype=dtype)
    )


def aligned_predictions(dtype=torch.float32) -> Arguments:
    quality = torch.tensor([[0.9, 0.2, 0.0, 0.4], [0.3, 0.0, 0.0, 0.0], [0.0] * 4], dtype=dtype)
    return dict(student=predictions(TEACHERS, dtype), teacher=predictions(TEACHERS, dtype), quality=quality)


def matched_predictions(dtype=torch.float32) -> Arguments:
    pairs = dict(
        student=torch.tensor([[5, 0, 2], [3, 4, 0], [1, 0, 0]]),
        teacher=torch.tensor([[1, 0, 3], [0, 2, 0], [2, 0, 0]]),
        valid=torch.tensor([[True, True, True], [True, True, False], [True, False, False]]),
    )
    return {**aligned_predictions(dtype), 'student': predictions(STUDENTS, dtype), 'pairs': pairs}


def decoder_layers(dtype=torch.float32) -> Arguments:
    """Two layers, each with its own pairs."""
    one = matched_predictions(dtype)
    other = {**one['pairs'], 'student': torch.tensor([[0, 1, 2], [5, 4, 0], [2, 0, 0]])}
    layers = [predictions(STUDENTS, dtype), predictions(STUDENTS, dtype)]
    return {**one, 'student': layers, 'pairs': [one['pairs'], other]}


def no_pairs_in_any_layer() -> Arguments:
    return dict(pairs=[no_pair()['pairs']] * 2)


def no_pair() -> Arguments:
    index = torch.zeros(BATCH, 3, dtype=torch.long)
    return dict(pairs=dict(student=index, teacher=index, valid=index.bool()))


def no_pair_slot() -> Arguments:
    index = torch.zeros(BATCH, 0, dtype=torch.long)
    return dict(pairs=dict(student=index, teacher=index, valid=index.bool()))


def no_quality() -> Arguments:
    return dict(quality=torch.zeros(BATCH, TEACHERS))


def one_quality() -> Arguments:
    return dict(quality=torch.tensor([0.0, 0.5, 0.0, 0.0]).expand(BATCH, -1))


def center_heads(dtype=torch.float32) -> Arguments:
    """Two tasks of one and of two classes; the second has fewer peaks."""

    def head():
        channels = dict(reg=2, height=1, dim=3, rot=2, vel=2)
        return [
            {name: torch.randn(BATCH, c, 3, 4, dtype=dtype) for name, c in dict(heatmap=classes, **channels).items()}
            for classes in (1, 2)
        ]

    return dict(
        student=head(),
        teacher=head(),
        quality=[torch.rand(BATCH, 5, dtype=dtype), torch.tensor([[0.7, 0.1], [0.6, 0.0], [0.0, 0.0]], dtype=dtype)],
        cells=[torch.randint(12, (BATCH, 5)), torch.tensor([[11, 3], [0, 0], [0, 0]])],
    )


def cells_without_quality() -> Arguments:
    return dict(quality=[torch.zeros(BATCH, 5), torch.zeros(BATCH, 2)])


def no_cells() -> Arguments:
    return dict(quality=[torch.zeros(BATCH, 0)] * 2, cells=[torch.zeros(BATCH, 0, dtype=torch.long)] * 2)


def one_cell() -> Arguments:
    return dict(quality=[torch.ones(BATCH, 1)] * 2, cells=[torch.full((BATCH, 1), 6)] * 2)


def detected_objects(dtype=torch.float32) -> Arguments:
    """Detections of the three classes of two tasks; the last image has one."""
    heads = center_heads(dtype)
    detections = dict(
        cells=torch.tensor([[3, 11, 6, 0], [7, 7, 2, 0], [9, 0, 0, 0]]),
        labels=torch.tensor([[0, 2, 1, 0], [1, 0, 2, 0], [2, 0, 0, 0]]),
    )
    quality = torch.tensor([[0.9, 0.4, 0.2, 0.0], [0.3, 0.8, 0.1, 0.0], [0.6, 0.0, 0.0, 0.0]], dtype=dtype)
    return dict(student=heads['student'], teacher=heads['teacher'], detections=detections, quality=quality)


def no_detection() -> Arguments:
    index = torch.zeros(BATCH, 4, dtype=torch.long)
    return dict(detections=dict(cells=index, labels=index), quality=torch.zeros(BATCH, 4))


def no_detection_slot() -> Arguments:
    index = torch.zeros(BATCH, 0, dtype=torch.long)
    return dict(detections=dict(cells=index, labels=index), quality=torch.zeros(BATCH, 0))


def one_detection() -> Arguments:
    index = torch.ones(BATCH, 1, dtype=torch.long)
    return dict(detections=dict(cells=6 * index, labels=index), quality=torch.ones(BATCH, 1))


CASES = {
    'cross_correlation': Case(
        cross_correlation_loss,
        'CrossCorrelationLoss',
        masked_points,
        exact_zero=False,
        without_objects=dict(no_point=no_point),
        one_object=one_point,
        channel_dim=-1,
    ),
    'cross_correlation_scale': Case(
        cross_correlation_loss,
        'CrossCorrelationLoss',
        points,
        dict(var_floor=1e-12),
        exact_zero=False,
        degree=0,
        channel_dim=-1,
    ),
    'cross_correlation_cosine': Case(
        cross_correlation_loss,
        'CrossCorrelationLoss',
        masked_points,
        dict(center=False, off_diagonal_weight=0.1, var_floor=1e-12),
        exact_zero=False,
        degree=0,
        without_objects=dict(no_point=no_point),
        one_object=one_point,
        channel_dim=-1,
    ),
    'cross_correlation_image': Case(
        cross_correlation_loss,
        'CrossCorrelationLoss',
        masked_points,
        dict(statistics='image'),
        exact_zero=False,
        without_objects=dict(no_point=no_point),
        channel_dim=-1,
    ),
    'cross_correlation_global': Case(
        cross_correlation_loss,
        'CrossCorrelationLoss',
        masked_points,
        dict(statistics='global'),
        exact_zero=False,
        channel_dim=-1,
    ),
    'temporal_similarity': Case(
        temporal_similarity_loss,
        'TemporalSimilarityLoss',
        points_and_past,
        degree=0,
        scaled=('student', 'teacher', 'past'),
        without_objects=dict(no_point=no_point, no_frame=no_frame),
        one_object=one_point,
        channel_dim=-1,
    ),
    'temporal_similarity_masked': Case(
        temporal_similarity_loss,
        'TemporalSimilarityLoss',
        masked_points_and_past,
        dict(direction='symmetric', temperature=0.5),
        degree=0,
        without_objects=dict(no_point=no_point, no_frame=no_frame),
        channel_dim=-1,
    ),
    'temporal_similarity_products': Case(
        temporal_similarity_loss,
        'TemporalSimilarityLoss',
        masked_points_and_past,
        dict(direction='teacher_student', temperature=2.0, normalize=False),
        channel_dim=-1,
    ),
    'quality_response': Case(
        quality_response_loss,
        'QualityResponseLoss',
        aligned_predictions,
        without_objects=dict(no_quality=no_quality),
        one_object=one_quality,
        channel_dim=-1,
    ),
    'quality_response_matched': Case(
        quality_response_loss,
        'QualityResponseLoss',
        matched_predictions,
        dict(class_divergence='softmax', velocity_weight=1.0, normalizer='pairs'),
        exact_zero=False,
        without_objects=dict(no_quality=no_quality, no_pair=no_pair, no_pair_slot=no_pair_slot),
        channel_dim=-1,
    ),
    'quality_response_printed': Case(
        quality_response_loss, 'QualityResponseLoss', aligned_predictions, dict(normalizer='none'), channel_dim=-1
    ),
    'query_response': Case(
        query_response_loss,
        'QueryResponseLoss',
        decoder_layers,
        exact_zero=False,
        without_objects=dict(no_quality=no_quality, no_pairs=no_pairs_in_any_layer),
        channel_dim=-1,
    ),
    'center_response': Case(
        center_response_loss,
        'CenterResponseLoss',
        center_heads,
        without_objects=dict(cells_without_quality=cells_without_quality, no_cells=no_cells),
        one_object=one_cell,
    ),
    'center_detections': Case(
        center_detection_loss,
        'CenterDetectionLoss',
        detected_objects,
        without_objects=dict(no_detection=no_detection, no_slot=no_detection_slot),
        one_object=one_detection,
    ),
}
