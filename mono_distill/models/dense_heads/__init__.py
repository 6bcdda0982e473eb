"""Dense heads."""

from mono_distill.models.dense_heads.bev_center_head import BEVCenterHead
from mono_distill.models.dense_heads.did_head import DIDHead
from mono_distill.models.dense_heads.kitti_anchor_head import KittiAnchorHead
from mono_distill.models.dense_heads.monodle_head import MonoDLEHead

__all__ = ['BEVCenterHead', 'DIDHead', 'KittiAnchorHead', 'MonoDLEHead']
