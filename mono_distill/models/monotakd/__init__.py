"""Parts of the BEV student of MonoTAKD and CMKD; torch only."""

from mono_distill.models.monotakd.collapse import BEVCollapse
from mono_distill.models.monotakd.depth_head import DeepLabDepthHead
from mono_distill.models.monotakd.ffm import FeatureFusionModule
from mono_distill.models.monotakd.frustum_view import FrustumView
from mono_distill.models.monotakd.sam import SpatialAlignmentModule
from mono_distill.models.monotakd.scnet import SCNet

__all__ = ['BEVCollapse', 'DeepLabDepthHead', 'FeatureFusionModule', 'FrustumView', 'SCNet', 'SpatialAlignmentModule']
