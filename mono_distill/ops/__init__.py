"""Array kernels in PyTorch, on any device; torch, numpy and mmengine only."""

from mono_distill.ops.average_rank import average_ranks
from mono_distill.ops.bev_box_masks import bev_box_indices, bev_box_masks, bev_box_scales
from mono_distill.ops.bev_pool import BEVPoolIndices, bev_pool, bev_pool_indices, bev_pool_reference
from mono_distill.ops.box_code import decode_box_code, encode_box_code
from mono_distill.ops.box_masks import box_masks, gaussian_radius, gaussian_square_masks
from mono_distill.ops.box_points import bev_key_points
from mono_distill.ops.box_weight_maps import box_weight_maps
from mono_distill.ops.center_head_targets import CenterHeadTargets, center_head_targets
from mono_distill.ops.conv_order import conv_order
from mono_distill.ops.depth_bins import depth_bin_targets, depth_to_index, index_to_depth, one_hot_depth
from mono_distill.ops.effective_dimension import effective_dimension
from mono_distill.ops.frustum_lift import (
    FrustumLiftIndices,
    frustum_lift,
    frustum_lift_indices,
    frustum_lift_reference,
)
from mono_distill.ops.gaussian_heatmap import gaussian_heatmaps, heatmap_radii
from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.ops.isotonic import isotonic_pools
from mono_distill.ops.point_sampler import points_in_range, sample_bev
from mono_distill.ops.prediction_matching import hungarian_matching, mutual_nearest_matching, prediction_cost
from mono_distill.ops.prediction_quality import prediction_quality, quality_by_overlap
from mono_distill.ops.resize import resize_bilinear, resize_to_coarsest
from mono_distill.ops.roi_align import pool_boxes, roi_align, roi_align_weights
from mono_distill.ops.rotated_iou import rotated_iou_bev
from mono_distill.ops.rotated_iou_torch import rotated_iou, rotated_iou_3d
from mono_distill.ops.soft_rank import soft_rank
from mono_distill.ops.voxelize_batch import voxelize_batch
from mono_distill.ops.weighted_bags import BagPlan, bag_plan, weighted_bag_sum

__all__ = [
    'BEVPoolIndices',
    'BagPlan',
    'CenterHeadTargets',
    'FrustumLiftIndices',
    'average_ranks',
    'bag_plan',
    'bev_box_indices',
    'bev_box_masks',
    'bev_box_scales',
    'bev_key_points',
    'bev_pool',
    'bev_pool_indices',
    'bev_pool_reference',
    'box_masks',
    'box_weight_maps',
    'center_head_targets',
    'conv_order',
    'decode_box_code',
    'depth_bin_targets',
    'depth_to_index',
    'effective_dimension',
    'encode_box_code',
    'frustum_lift',
    'frustum_lift_indices',
    'frustum_lift_reference',
    'gaussian_heatmaps',
    'gaussian_radius',
    'gaussian_square_masks',
    'gt_box_codes',
    'heatmap_radii',
    'hungarian_matching',
    'index_to_depth',
    'isotonic_pools',
    'mutual_nearest_matching',
    'one_hot_depth',
    'points_in_range',
    'pool_boxes',
    'prediction_cost',
    'prediction_quality',
    'quality_by_overlap',
    'resize_bilinear',
    'resize_to_coarsest',
    'roi_align',
    'roi_align_weights',
    'rotated_iou',
    'rotated_iou_3d',
    'rotated_iou_bev',
    'sample_bev',
    'soft_rank',
    'voxelize_batch',
    'weighted_bag_sum',
]
