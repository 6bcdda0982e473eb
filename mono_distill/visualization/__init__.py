"""Headless drawing (OpenCV): boxes on pictures, depth maps, the scene from above."""

from mono_distill.visualization.bev_canvas import BevView, BoxSet, draw_bev
from mono_distill.visualization.boxes import draw_boxes_2d, draw_boxes_3d, draw_corners_3d
from mono_distill.visualization.camera_mosaic import LidarBoxes, draw_camera_mosaic
from mono_distill.visualization.compose import compose
from mono_distill.visualization.depth_colors import colorize_depth
from mono_distill.visualization.feature_map import draw_feature_map
from mono_distill.visualization.multi_view_sample import draw_multi_view_sample
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, PREDICTION_COLOR, write_picture
from mono_distill.visualization.sample import draw_sample, points_in_camera

__all__ = [
    'GROUND_TRUTH_COLOR',
    'PREDICTION_COLOR',
    'BevView',
    'BoxSet',
    'LidarBoxes',
    'colorize_depth',
    'compose',
    'draw_bev',
    'draw_boxes_2d',
    'draw_boxes_3d',
    'draw_camera_mosaic',
    'draw_corners_3d',
    'draw_feature_map',
    'draw_multi_view_sample',
    'draw_sample',
    'points_in_camera',
    'write_picture',
]
