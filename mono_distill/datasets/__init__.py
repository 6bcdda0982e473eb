"""Datasets and pipeline transforms."""

from mono_distill.datasets.kitti_mono import KittiMonoDataset
from mono_distill.datasets.mixed_sources import MixedSourcesSampler
from mono_distill.datasets.repeat import RepeatDataset
from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.datasets.transforms import (
    CacheTransforms,
    CenterNetColorAug,
    FilterMonoObjects,
    LoadDepthMap,
    LoadMonoImage,
    LoadMonoKittiAnnotations,
    MonoRandomCropAffine,
    MonoRandomFlip,
    PackMono3DInputs,
    WithDepthMap,
)

__all__ = [
    'CacheTransforms',
    'CenterNetColorAug',
    'FilterMonoObjects',
    'KittiMonoDataset',
    'LoadDepthMap',
    'LoadMonoImage',
    'LoadMonoKittiAnnotations',
    'MixedSourcesSampler',
    'MonoRandomCropAffine',
    'MonoRandomFlip',
    'PackMono3DInputs',
    'RepeatDataset',
    'ReproducibleSamples',
    'WithDepthMap',
]
