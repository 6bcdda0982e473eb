"""Detectors and their parts that mmdet3d lacks."""

from mono_distill.models.backbones import DLANet
from mono_distill.models.data_preprocessors import Mono3DDataPreprocessor
from mono_distill.models.dense_heads import MonoDLEHead
from mono_distill.models.detectors import CenterNetMono3D
from mono_distill.models.monotakd import BEVCollapse, FeatureFusionModule, SCNet, SpatialAlignmentModule
from mono_distill.models.necks import DLAUpNeck
from mono_distill.models.task_modules import CenterNetTargetEncoder, HeadingBinCoder, MonoCenterCoder

__all__ = [
    'BEVCollapse',
    'CenterNetMono3D',
    'CenterNetTargetEncoder',
    'DLANet',
    'DLAUpNeck',
    'FeatureFusionModule',
    'HeadingBinCoder',
    'Mono3DDataPreprocessor',
    'MonoCenterCoder',
    'MonoDLEHead',
    'SCNet',
    'SpatialAlignmentModule',
]
