"""From image features of several cameras to a bird's-eye-view map."""

from mono_distill.models.view_transformers.base import LiftedView, LiftSplatTransformer
from mono_distill.models.view_transformers.bevdepth import BEVDepthViewTransformer
from mono_distill.models.view_transformers.frustum import Cameras, frame_cameras, frustum_points
from mono_distill.models.view_transformers.lss import LSSViewTransformer

__all__ = [
    'BEVDepthViewTransformer',
    'Cameras',
    'LSSViewTransformer',
    'LiftSplatTransformer',
    'LiftedView',
    'frame_cameras',
    'frustum_points',
]
