"""Datasets and pipeline transforms."""

from mono_distill.datasets.kitti_bev import KittiBEVDataset
from mono_distill.datasets.kitti_mono import KittiMonoDataset
from mono_distill.datasets.mixed_sources import MixedSourcesSampler
from mono_distill.datasets.nuscenes_bev import NuScenesBEVDataset
from mono_distill.datasets.repeat import RepeatDataset
from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.datasets.safe_cbgs import SafeCBGSDataset
from mono_distill.datasets.transforms import (
    BEVGlobalAug,
    CacheTransforms,
    CenterNetColorAug,
    FilterMonoObjects,
    KittiBEVDepth,
    KittiBEVRandomFlip,
    KittiBEVResize,
    LidarDepthTargets,
    LoadDepthMap,
    LoadKittiBEVAnnotations,
    LoadKittiBEVPoints,
    LoadLidarSweeps,
    LoadMonoImage,
    LoadMonoKittiAnnotations,
    LoadMultiViewImages,
    MonoRandomCropAffine,
    MonoRandomFlip,
    MultiViewImageAug,
    PackBEVInputs,
    PackKittiBEVInputs,
    PackMono3DInputs,
    WithDepthMap,
)

__all__ = [
    'BEVGlobalAug',
    'CacheTransforms',
    'CenterNetColorAug',
    'FilterMonoObjects',
    'KittiBEVDataset',
    'KittiBEVDepth',
    'KittiBEVRandomFlip',
    'KittiBEVResize',
    'KittiMonoDataset',
    'LidarDepthTargets',
    'LoadDepthMap',
    'LoadKittiBEVAnnotations',
    'LoadKittiBEVPoints',
    'LoadLidarSweeps',
    'LoadMonoImage',
    'LoadMonoKittiAnnotations',
    'LoadMultiViewImages',
    'MixedSourcesSampler',
    'MonoRandomCropAffine',
    'MonoRandomFlip',
    'MultiViewImageAug',
    'NuScenesBEVDataset',
    'PackBEVInputs',
    'PackKittiBEVInputs',
    'PackMono3DInputs',
    'RepeatDataset',
    'ReproducibleSamples',
    'SafeCBGSDataset',
    'WithDepthMap',
]
