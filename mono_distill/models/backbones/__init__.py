"""Image backbones."""

from mono_distill.models.backbones.dla import DLANet

__all__ = ['DLANet']
