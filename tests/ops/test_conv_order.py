"""Tests of mono_distill.ops.conv_order."""

import torch
from torch import nn

from mono_distill.models.backbones.bev_resnet import BEVResNet
from mono_distill.ops.conv_order import conv_order


def test_on_a_cpu_the_channels_come_first():
    maps = torch.randn(2, 5, 3, 6).permute(0, 3, 1, 2)
    ordered = conv_order(maps)
    assert ordered.is_contiguous()
    assert torch.equal(ordered, maps)


def test_what_is_in_order_is_not_copied():
    maps = torch.randn(2, 6, 5, 3)
    assert conv_order(maps) is maps


def test_no_convolution_of_a_birds_eye_view_trunk_reads_channels_last_on_a_cpu():
    trunk = BEVResNet(8, base_channels=16, num_blocks=(1, 1), strides=(2, 2), stem_stride=None, keep_input=False)
    read = []
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda _, args: read.append(args[0].is_contiguous()))
    trunk(torch.randn(2, 16, 16, 8).permute(0, 3, 1, 2))
    assert len(read) > 4
    assert all(read)
