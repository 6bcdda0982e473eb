"""Detectors."""

from mono_distill.models.detectors.bev_anchor import BEVAnchorDetector
from mono_distill.models.detectors.bev_cache import BEVCache
from mono_distill.models.detectors.bev_det import BEVDepth, BEVDet
from mono_distill.models.detectors.caddn_bev import CaDDNBEV
from mono_distill.models.detectors.centernet_mono3d import CenterNetMono3D
from mono_distill.models.detectors.centerpoint_bev import CenterPointBEV
from mono_distill.models.detectors.points_bev import PointsBEVDetector

__all__ = [
    'BEVAnchorDetector',
    'BEVCache',
    'BEVDepth',
    'BEVDet',
    'CaDDNBEV',
    'CenterNetMono3D',
    'CenterPointBEV',
    'PointsBEVDetector',
]
