"""Parameter-free signals that losses compare with, derived from teachers or from annotations."""

from mono_distill.targets.bev_gaussian import BEVGaussianMask, bev_gaussian_mask
from mono_distill.targets.bev_regions import BEVRegions, bev_regions
from mono_distill.targets.bin_log_scale import BinLogScale, bin_log_scale
from mono_distill.targets.center_predictions import CenterPredictions, center_predictions
from mono_distill.targets.dense_truth import DenseTruthMaps, dense_truth_maps
from mono_distill.targets.gt_box_codes import GTBoxCodes, gt_box_codes
from mono_distill.targets.gt_boxes import GTBoxes, gt_boxes
from mono_distill.targets.matched_log_scale import MatchedLogScale, matched_log_scale
from mono_distill.targets.matched_quality import MatchedQuality, matched_quality
from mono_distill.targets.object_log_scale import ConstantLogScale, ObjectLogScale, object_log_scale
from mono_distill.targets.pseudo_objects import PseudoObjects, pseudo_objects
from mono_distill.targets.query_pairs import QueryPairs, query_pairs
from mono_distill.targets.residual import ResidualTarget, residual_target

__all__ = [
    'BEVGaussianMask',
    'BEVRegions',
    'BinLogScale',
    'CenterPredictions',
    'ConstantLogScale',
    'DenseTruthMaps',
    'GTBoxCodes',
    'GTBoxes',
    'MatchedLogScale',
    'MatchedQuality',
    'ObjectLogScale',
    'PseudoObjects',
    'QueryPairs',
    'ResidualTarget',
    'bev_gaussian_mask',
    'bev_regions',
    'bin_log_scale',
    'center_predictions',
    'dense_truth_maps',
    'gt_box_codes',
    'gt_boxes',
    'matched_log_scale',
    'matched_quality',
    'object_log_scale',
    'pseudo_objects',
    'query_pairs',
    'residual_target',
]
