"""Data preprocessors: from collated samples to the tensors a detector takes."""

from mono_distill.models.data_preprocessors.bev import BEVDataPreprocessor
from mono_distill.models.data_preprocessors.depth_det3d import DepthDet3DDataPreprocessor
from mono_distill.models.data_preprocessors.depth_normalize import DEPTH_NORMALIZATIONS, normalize_depth
from mono_distill.models.data_preprocessors.kitti_bev import KittiBEVDataPreprocessor
from mono_distill.models.data_preprocessors.mono3d import Mono3DDataPreprocessor

__all__ = [
    'DEPTH_NORMALIZATIONS',
    'BEVDataPreprocessor',
    'DepthDet3DDataPreprocessor',
    'KittiBEVDataPreprocessor',
    'Mono3DDataPreprocessor',
    'normalize_depth',
]
