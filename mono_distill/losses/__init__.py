"""Losses: a pure function and a thin registered module per file; torch and mmengine only."""

from mono_distill.losses.affinity import LocalAffinityLoss, SceneAffinityLoss, local_affinity_loss, scene_affinity_loss
from mono_distill.losses.anchor_response import AnchorResponseLoss, anchor_response_loss, anchor_response_terms
from mono_distill.losses.center_detections import CenterDetectionLoss, center_detection_loss
from mono_distill.losses.center_response import CenterResponseLoss, center_response_loss
from mono_distill.losses.channel_mean_l1 import ChannelMeanL1Loss, channel_mean_l1_loss
from mono_distill.losses.cross_correlation import CrossCorrelationLoss, cross_correlation, cross_correlation_loss
from mono_distill.losses.ddn import DDNLoss, ddn_loss
from mono_distill.losses.dim_aware_l1 import DimAwareL1Loss, dim_aware_l1_loss
from mono_distill.losses.feature_mse import FeatureMSELoss, feature_mse_loss
from mono_distill.losses.foreground_l2 import ForegroundL2Loss, foreground_l2_loss
from mono_distill.losses.gaussian_foreground import GaussianForegroundLoss, gaussian_foreground_loss
from mono_distill.losses.gaussian_response import GaussianResponseLoss, gaussian_response_loss, gaussian_response_terms
from mono_distill.losses.heading_bin import HeadingBinLoss, heading_bin_loss
from mono_distill.losses.info_nce import InfoNCELoss, info_nce_loss
from mono_distill.losses.key_point import (
    KeyPointFeatureLoss,
    KeyPointRelationLoss,
    key_point_feature_loss,
    key_point_relation_loss,
)
from mono_distill.losses.laplacian_uncertainty import LaplacianUncertaintyLoss, laplacian_uncertainty_loss
from mono_distill.losses.object_relation import (
    RoIAffinityLoss,
    SelectiveRelationLoss,
    roi_affinity_loss,
    selective_relation_loss,
)
from mono_distill.losses.partial_mse import PartialMSELoss, partial_mse_loss
from mono_distill.losses.pearson import PearsonLoss, pearson_loss
from mono_distill.losses.quality_focal import QualityFocalLoss, quality_focal_loss
from mono_distill.losses.quality_response import QualityResponseLoss, quality_response_loss
from mono_distill.losses.query_response import QueryResponseLoss, query_response_loss
from mono_distill.losses.region_decomposed import RegionDecomposedLoss, region_decomposed_loss
from mono_distill.losses.response_did import DIDResponseLoss, did_response_loss, did_response_terms
from mono_distill.losses.response_monodle import MonoDLEResponseLoss, monodle_response_loss, monodle_response_terms
from mono_distill.losses.scored_response import ScoredResponseLoss, scored_response_loss
from mono_distill.losses.selective_feature import SelectiveFeatureLoss, selective_feature_loss
from mono_distill.losses.sine_box import sine_smooth_l1
from mono_distill.losses.spearman import SpearmanLoss, spearman_loss
from mono_distill.losses.temporal_similarity import TemporalSimilarityLoss, temporal_similarity_loss

__all__ = [
    'AnchorResponseLoss',
    'CenterDetectionLoss',
    'CenterResponseLoss',
    'ChannelMeanL1Loss',
    'CrossCorrelationLoss',
    'DDNLoss',
    'DIDResponseLoss',
    'DimAwareL1Loss',
    'FeatureMSELoss',
    'ForegroundL2Loss',
    'GaussianForegroundLoss',
    'GaussianResponseLoss',
    'HeadingBinLoss',
    'InfoNCELoss',
    'KeyPointFeatureLoss',
    'KeyPointRelationLoss',
    'LaplacianUncertaintyLoss',
    'LocalAffinityLoss',
    'MonoDLEResponseLoss',
    'PartialMSELoss',
    'PearsonLoss',
    'QualityFocalLoss',
    'QualityResponseLoss',
    'QueryResponseLoss',
    'RegionDecomposedLoss',
    'RoIAffinityLoss',
    'SceneAffinityLoss',
    'ScoredResponseLoss',
    'SelectiveFeatureLoss',
    'SelectiveRelationLoss',
    'SpearmanLoss',
    'TemporalSimilarityLoss',
    'anchor_response_loss',
    'anchor_response_terms',
    'center_detection_loss',
    'center_response_loss',
    'channel_mean_l1_loss',
    'cross_correlation',
    'cross_correlation_loss',
    'ddn_loss',
    'did_response_loss',
    'did_response_terms',
    'dim_aware_l1_loss',
    'feature_mse_loss',
    'foreground_l2_loss',
    'gaussian_foreground_loss',
    'gaussian_response_loss',
    'gaussian_response_terms',
    'heading_bin_loss',
    'info_nce_loss',
    'key_point_feature_loss',
    'key_point_relation_loss',
    'laplacian_uncertainty_loss',
    'local_affinity_loss',
    'monodle_response_loss',
    'monodle_response_terms',
    'partial_mse_loss',
    'pearson_loss',
    'quality_focal_loss',
    'quality_response_loss',
    'query_response_loss',
    'region_decomposed_loss',
    'roi_affinity_loss',
    'scene_affinity_loss',
    'scored_response_loss',
    'selective_feature_loss',
    'selective_relation_loss',
    'sine_smooth_l1',
    'spearman_loss',
    'temporal_similarity_loss',
]
