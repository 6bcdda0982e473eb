"""Pipeline transforms of camera samples."""

from mono_distill.datasets.transforms.annotations import LoadMonoKittiAnnotations
from mono_distill.datasets.transforms.bev_aug import BEVGlobalAug
from mono_distill.datasets.transforms.cache import CacheTransforms
from mono_distill.datasets.transforms.color import CenterNetColorAug
from mono_distill.datasets.transforms.crop_affine import MonoRandomCropAffine
from mono_distill.datasets.transforms.filter_objects import FilterMonoObjects
from mono_distill.datasets.transforms.flip import MonoRandomFlip
from mono_distill.datasets.transforms.kitti_bev_annotations import LoadKittiBEVAnnotations
from mono_distill.datasets.transforms.kitti_bev_depth import KittiBEVDepth
from mono_distill.datasets.transforms.kitti_bev_flip import KittiBEVRandomFlip
from mono_distill.datasets.transforms.kitti_bev_pack import PackKittiBEVInputs
from mono_distill.datasets.transforms.kitti_bev_points import LoadKittiBEVPoints
from mono_distill.datasets.transforms.kitti_bev_resize import KittiBEVResize
from mono_distill.datasets.transforms.lidar_depth import LidarDepthTargets
from mono_distill.datasets.transforms.lidar_sweeps import LoadLidarSweeps
from mono_distill.datasets.transforms.loading import LoadDepthMap, LoadMonoImage
from mono_distill.datasets.transforms.loading_multi_view import LoadMultiViewImages
from mono_distill.datasets.transforms.multi_view_image_aug import MultiViewImageAug
from mono_distill.datasets.transforms.pack import PackMono3DInputs
from mono_distill.datasets.transforms.pack_bev import PackBEVInputs
from mono_distill.datasets.transforms.visual_depth import ObjectVisualDepth
from mono_distill.datasets.transforms.with_depth_map import WithDepthMap

__all__ = [
    'BEVGlobalAug',
    'CacheTransforms',
    'CenterNetColorAug',
    'FilterMonoObjects',
    'KittiBEVDepth',
    'KittiBEVRandomFlip',
    'KittiBEVResize',
    'LidarDepthTargets',
    'LoadDepthMap',
    'LoadKittiBEVAnnotations',
    'LoadKittiBEVPoints',
    'LoadLidarSweeps',
    'LoadMonoImage',
    'LoadMonoKittiAnnotations',
    'LoadMultiViewImages',
    'MonoRandomCropAffine',
    'MonoRandomFlip',
    'MultiViewImageAug',
    'ObjectVisualDepth',
    'PackBEVInputs',
    'PackKittiBEVInputs',
    'PackMono3DInputs',
    'WithDepthMap',
]
