"""Pipeline transforms of camera samples."""

from mono_distill.datasets.transforms.annotations import LoadMonoKittiAnnotations
from mono_distill.datasets.transforms.cache import CacheTransforms
from mono_distill.datasets.transforms.color import CenterNetColorAug
from mono_distill.datasets.transforms.crop_affine import MonoRandomCropAffine
from mono_distill.datasets.transforms.filter_objects import FilterMonoObjects
from mono_distill.datasets.transforms.flip import MonoRandomFlip
from mono_distill.datasets.transforms.loading import LoadDepthMap, LoadMonoImage
from mono_distill.datasets.transforms.pack import PackMono3DInputs

__all__ = [
    'CacheTransforms',
    'CenterNetColorAug',
    'FilterMonoObjects',
    'LoadDepthMap',
    'LoadMonoImage',
    'LoadMonoKittiAnnotations',
    'MonoRandomCropAffine',
    'MonoRandomFlip',
    'PackMono3DInputs',
]
