"""Image backbones, and one for bird's-eye-view maps."""

from mono_distill.models.backbones.bev_resnet import BEVResNet
from mono_distill.models.backbones.dla import DLANet
from mono_distill.models.backbones.resnet import ImageNetResNet

__all__ = ['BEVResNet', 'DLANet', 'ImageNetResNet']
