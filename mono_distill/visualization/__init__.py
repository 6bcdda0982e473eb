"""Headless drawing (OpenCV): boxes on pictures, depth maps, the scene from above."""

from mono_distill.visualization.bev_canvas import BevView, BoxSet, draw_bev
from mono_distill.visualization.boxes import draw_boxes_2d, draw_boxes_3d
from mono_distill.visualization.compose import compose
from mono_distill.visualization.depth_colors import colorize_depth
from mono_distill.visualization.picture import GROUND_TRUTH_COLOR, PREDICTION_COLOR, write_picture
from mono_distill.visualization.sample import draw_sample, points_in_camera

__all__ = [
    'GROUND_TRUTH_COLOR',
    'PREDICTION_COLOR',
    'BevView',
    'BoxSet',
    'colorize_depth',
    'compose',
    'draw_bev',
    'draw_boxes_2d',
    'draw_boxes_3d',
    'draw_sample',
    'points_in_camera',
    'write_picture',
]
