"""Datasets and pipeline transforms."""

from mono_distill.datasets.kitti_mono import KittiMonoDataset
from mono_distill.datasets.repeat import RepeatDataset
from mono_distill.datasets.reproducible import ReproducibleSamples
from mono_distill.datasets.transforms import (
    CenterNetColorAug,
    FilterMonoObjects,
    LoadDepthMap,
    LoadMonoImage,
    LoadMonoKittiAnnotations,
    MonoRandomCropAffine,
    MonoRandomFlip,
    PackMono3DInputs,
)

__all__ = [
    'CenterNetColorAug',
    'FilterMonoObjects',
    'KittiMonoDataset',
    'LoadDepthMap',
    'LoadMonoImage',
    'LoadMonoKittiAnnotations',
    'MonoRandomCropAffine',
    'MonoRandomFlip',
    'PackMono3DInputs',
    'RepeatDataset',
    'ReproducibleSamples',
]
