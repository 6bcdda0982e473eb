"""Image backbones."""

from mono_distill.models.backbones.dla import DLANet
from mono_distill.models.backbones.resnet import ImageNetResNet

__all__ = ['DLANet', 'ImageNetResNet']
