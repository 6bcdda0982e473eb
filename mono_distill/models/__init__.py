"""Detectors and their parts that mmdet3d lacks."""

from mono_distill.models.backbones import BEVResNet, DLANet
from mono_distill.models.backbones.resnet import ImageNetResNet
from mono_distill.models.bevformer import BEVFormer, BEVFormerEncoder, BEVFormerHead, BEVQueryDecoder
from mono_distill.models.data_preprocessors import (
    BEVDataPreprocessor,
    DepthDet3DDataPreprocessor,
    KittiBEVDataPreprocessor,
    Mono3DDataPreprocessor,
)
from mono_distill.models.dense_heads import BEVCenterHead, DIDHead, KittiAnchorHead, MonoDLEHead
from mono_distill.models.detectors import BEVDepth, BEVDet, CaDDNBEV, CenterNetMono3D, CenterPointBEV, PointsBEVDetector
from mono_distill.models.monodetr import (
    DepthAwareDecoder,
    MonoDETR,
    MonoDETRDepthPredictor,
    MonoDETREncoder,
    MonoDETRHead,
)
from mono_distill.models.monotakd import (
    BEVCollapse,
    DeepLabDepthHead,
    FeatureFusionModule,
    FrustumView,
    SCNet,
    SpatialAlignmentModule,
)
from mono_distill.models.necks import LSSFPN, DLAUpNeck
from mono_distill.models.task_modules import (
    CenterNetTargetEncoder,
    DIDCenterCoder,
    DIDTargetEncoder,
    HeadingBinCoder,
    MonoCenterCoder,
    PixelGeometryReader,
)
from mono_distill.models.view_transformers import BEVDepthViewTransformer, LSSViewTransformer

__all__ = [
    'LSSFPN',
    'BEVCenterHead',
    'BEVCollapse',
    'BEVDataPreprocessor',
    'BEVDepth',
    'BEVDepthViewTransformer',
    'BEVDet',
    'BEVFormer',
    'BEVFormerEncoder',
    'BEVFormerHead',
    'BEVQueryDecoder',
    'BEVResNet',
    'CaDDNBEV',
    'CenterNetMono3D',
    'CenterNetTargetEncoder',
    'CenterPointBEV',
    'DIDCenterCoder',
    'DIDHead',
    'DIDTargetEncoder',
    'DLANet',
    'DLAUpNeck',
    'DeepLabDepthHead',
    'DepthAwareDecoder',
    'DepthDet3DDataPreprocessor',
    'FeatureFusionModule',
    'FrustumView',
    'HeadingBinCoder',
    'ImageNetResNet',
    'KittiAnchorHead',
    'KittiBEVDataPreprocessor',
    'LSSViewTransformer',
    'Mono3DDataPreprocessor',
    'MonoCenterCoder',
    'MonoDETR',
    'MonoDETRDepthPredictor',
    'MonoDETREncoder',
    'MonoDETRHead',
    'MonoDLEHead',
    'PixelGeometryReader',
    'PointsBEVDetector',
    'SCNet',
    'SpatialAlignmentModule',
]
