"""Pipeline transforms of camera samples."""

from mono_distill.datasets.transforms.annotations import LoadMonoKittiAnnotations
from mono_distill.datasets.transforms.cache import CacheTransforms
from mono_distill.datasets.transforms.color import CenterNetColorAug
from mono_distill.datasets.transforms.crop_affine import MonoRandomCropAffine
from mono_distill.datasets.transforms.filter_objects import FilterMonoObjects
from mono_distill.datasets.transforms.flip import MonoRandomFlip
from mono_distill.datasets.transforms.loading import LoadDepthMap, LoadMonoImage
from mono_distill.datasets.transforms.pack import PackMono3DInputs
from mono_distill.datasets.transforms.visual_depth import ObjectVisualDepth
from mono_distill.datasets.transforms.with_depth_map import WithDepthMap

__all__ = [
    'CacheTransforms',
    'CenterNetColorAug',
    'FilterMonoObjects',
    'LoadDepthMap',
    'LoadMonoImage',
    'LoadMonoKittiAnnotations',
    'MonoRandomCropAffine',
    'MonoRandomFlip',
    'ObjectVisualDepth',
    'PackMono3DInputs',
    'WithDepthMap',
]
