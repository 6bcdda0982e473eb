"""Detectors and their parts that mmdet3d lacks."""

from mono_distill.models.backbones import DLANet
from mono_distill.models.backbones.resnet import ImageNetResNet
from mono_distill.models.data_preprocessors import DepthDet3DDataPreprocessor, Mono3DDataPreprocessor
from mono_distill.models.dense_heads import DIDHead, MonoDLEHead
from mono_distill.models.detectors import CenterNetMono3D
from mono_distill.models.monodetr import (
    DepthAwareDecoder,
    MonoDETR,
    MonoDETRDepthPredictor,
    MonoDETREncoder,
    MonoDETRHead,
)
from mono_distill.models.monotakd import BEVCollapse, FeatureFusionModule, SCNet, SpatialAlignmentModule
from mono_distill.models.necks import DLAUpNeck
from mono_distill.models.task_modules import (
    CenterNetTargetEncoder,
    DIDCenterCoder,
    DIDTargetEncoder,
    HeadingBinCoder,
    MonoCenterCoder,
    PixelGeometryReader,
)

__all__ = [
    'BEVCollapse',
    'CenterNetMono3D',
    'CenterNetTargetEncoder',
    'DIDCenterCoder',
    'DIDHead',
    'DIDTargetEncoder',
    'DLANet',
    'DLAUpNeck',
    'DepthAwareDecoder',
    'DepthDet3DDataPreprocessor',
    'FeatureFusionModule',
    'HeadingBinCoder',
    'ImageNetResNet',
    'Mono3DDataPreprocessor',
    'MonoCenterCoder',
    'MonoDETR',
    'MonoDETRDepthPredictor',
    'MonoDETREncoder',
    'MonoDETRHead',
    'MonoDLEHead',
    'PixelGeometryReader',
    'SCNet',
    'SpatialAlignmentModule',
]
