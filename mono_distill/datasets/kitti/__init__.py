"""KITTI object benchmark: file readers and writers, projection, LiDAR depth maps and the builder of its infos."""

from mono_distill.datasets.kitti.calibration import KittiCalibration, read_calib
from mono_distill.datasets.kitti.depth_completion import DepthCompletion, complete_depth
from mono_distill.datasets.kitti.depth_maps import project_lidar_to_depth, read_depth_png, write_depth_png
from mono_distill.datasets.kitti.labels import KittiLabels, kitti_difficulty, read_label, write_label
from mono_distill.datasets.kitti.projection import project_cam_to_img, transform_points, unproject_img_to_cam

__all__ = [
    'DepthCompletion',
    'KittiCalibration',
    'KittiLabels',
    'complete_depth',
    'kitti_difficulty',
    'project_cam_to_img',
    'project_lidar_to_depth',
    'read_calib',
    'read_depth_png',
    'read_label',
    'transform_points',
    'unproject_img_to_cam',
    'write_depth_png',
    'write_label',
]
