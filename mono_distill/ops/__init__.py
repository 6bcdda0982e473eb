"""Ops."""

from mono_distill.ops.average_rank import average_ranks
from mono_distill.ops.box_masks import box_masks, gaussian_radius, gaussian_square_masks
from mono_distill.ops.isotonic import isotonic_pools
from mono_distill.ops.resize import resize_bilinear, resize_to_coarsest
from mono_distill.ops.rotated_iou import rotated_iou_bev
from mono_distill.ops.soft_rank import soft_rank

__all__ = [
    'average_ranks',
    'box_masks',
    'gaussian_radius',
    'gaussian_square_masks',
    'isotonic_pools',
    'resize_bilinear',
    'resize_to_coarsest',
    'rotated_iou_bev',
    'soft_rank',
]
