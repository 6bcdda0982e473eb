"""Target encoders and box coders."""

from mono_distill.models.task_modules.centernet_target_encoder import CenterNetTargetEncoder
from mono_distill.models.task_modules.heading_bin_coder import NUM_HEADING_BINS, HeadingBinCoder
from mono_distill.models.task_modules.mono_center_coder import MonoCenterCoder

__all__ = ['NUM_HEADING_BINS', 'CenterNetTargetEncoder', 'HeadingBinCoder', 'MonoCenterCoder']
