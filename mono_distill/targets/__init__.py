"""Parameter-free signals that losses compare with, derived from teachers or from annotations."""

from mono_distill.targets.bev_gaussian import BEVGaussianMask, bev_gaussian_mask
from mono_distill.targets.bev_regions import BEVRegions, bev_regions
from mono_distill.targets.bin_log_scale import BinLogScale, bin_log_scale
from mono_distill.targets.dense_truth import DenseTruthMaps, dense_truth_maps
from mono_distill.targets.gt_boxes import GTBoxes, gt_boxes
from mono_distill.targets.matched_log_scale import MatchedLogScale, matched_log_scale
from mono_distill.targets.object_log_scale import ConstantLogScale, ObjectLogScale, object_log_scale
from mono_distill.targets.pseudo_objects import PseudoObjects, pseudo_objects
from mono_distill.targets.residual import ResidualTarget, residual_target

__all__ = [
    'BEVGaussianMask',
    'BEVRegions',
    'BinLogScale',
    'ConstantLogScale',
    'DenseTruthMaps',
    'GTBoxes',
    'MatchedLogScale',
    'ObjectLogScale',
    'PseudoObjects',
    'ResidualTarget',
    'bev_gaussian_mask',
    'bev_regions',
    'bin_log_scale',
    'dense_truth_maps',
    'gt_boxes',
    'matched_log_scale',
    'object_log_scale',
    'pseudo_objects',
    'residual_target',
]
