"""Target encoders and box coders."""

from mono_distill.models.task_modules.centernet_target_encoder import CenterNetTargetEncoder
from mono_distill.models.task_modules.did_center_coder import DIDCenterCoder
from mono_distill.models.task_modules.did_geometry import PixelGeometryReader
from mono_distill.models.task_modules.did_target_encoder import DIDTargetEncoder
from mono_distill.models.task_modules.group_hungarian_assigner import GroupHungarianAssigner
from mono_distill.models.task_modules.heading_bin_coder import NUM_HEADING_BINS, HeadingBinCoder
from mono_distill.models.task_modules.mono_center_coder import MonoCenterCoder
from mono_distill.models.task_modules.monodetr_coder import MonoDETRCoder
from mono_distill.models.task_modules.monodetr_criterion import MonoDETRCriterion
from mono_distill.models.task_modules.monodetr_targets import MonoDETRTargetEncoder

__all__ = [
    'NUM_HEADING_BINS',
    'CenterNetTargetEncoder',
    'DIDCenterCoder',
    'DIDTargetEncoder',
    'GroupHungarianAssigner',
    'HeadingBinCoder',
    'MonoCenterCoder',
    'MonoDETRCoder',
    'MonoDETRCriterion',
    'MonoDETRTargetEncoder',
    'PixelGeometryReader',
]
