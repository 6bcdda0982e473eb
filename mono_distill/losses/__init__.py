"""Losses: a pure function and a thin registered module per file; torch and mmengine only."""

from mono_distill.losses.affinity import LocalAffinityLoss, SceneAffinityLoss, local_affinity_loss, scene_affinity_loss
from mono_distill.losses.dim_aware_l1 import DimAwareL1Loss, dim_aware_l1_loss
from mono_distill.losses.foreground_l2 import ForegroundL2Loss, foreground_l2_loss
from mono_distill.losses.heading_bin import HeadingBinLoss, heading_bin_loss
from mono_distill.losses.laplacian_uncertainty import LaplacianUncertaintyLoss, laplacian_uncertainty_loss
from mono_distill.losses.response_monodle import MonoDLEResponseLoss, monodle_response_loss, monodle_response_terms
from mono_distill.losses.spearman import SpearmanLoss, spearman_loss

__all__ = [
    'DimAwareL1Loss',
    'ForegroundL2Loss',
    'HeadingBinLoss',
    'LaplacianUncertaintyLoss',
    'LocalAffinityLoss',
    'MonoDLEResponseLoss',
    'SceneAffinityLoss',
    'SpearmanLoss',
    'dim_aware_l1_loss',
    'foreground_l2_loss',
    'heading_bin_loss',
    'laplacian_uncertainty_loss',
    'local_affinity_loss',
    'monodle_response_loss',
    'monodle_response_terms',
    'scene_affinity_loss',
    'spearman_loss',
]
