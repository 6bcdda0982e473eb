"""Parameter-free signals that losses compare with, derived from teachers or from annotations."""

from mono_distill.targets.bev_gaussian import BEVGaussianMask, bev_gaussian_mask
from mono_distill.targets.bev_regions import BEVRegions, bev_regions
from mono_distill.targets.dense_truth import DenseTruthMaps, dense_truth_maps
from mono_distill.targets.pseudo_objects import PseudoObjects, pseudo_objects
from mono_distill.targets.residual import ResidualTarget, residual_target

__all__ = [
    'BEVGaussianMask',
    'BEVRegions',
    'DenseTruthMaps',
    'PseudoObjects',
    'ResidualTarget',
    'bev_gaussian_mask',
    'bev_regions',
    'dense_truth_maps',
    'pseudo_objects',
    'residual_target',
]
