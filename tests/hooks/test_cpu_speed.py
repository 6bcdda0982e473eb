from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from mono_distill.hooks import BFloat16OptimWrapper, ChannelsLastHook
from mono_distill.models.backbones.frozen_norm import FoldingBottleneck, can_fold
from mono_distill.registry import HOOKS, OPTIM_WRAPPERS


def conv():
    return nn.Conv2d(4, 8, 3)


def is_channels_last(module):
    return module.weight.is_contiguous(memory_format=torch.channels_last) and not module.weight.is_contiguous()


def test_both_are_found_by_their_names():
    assert OPTIM_WRAPPERS.get('mono_distill.BFloat16OptimWrapper') is BFloat16OptimWrapper
    assert HOOKS.get('mono_distill.ChannelsLastHook') is ChannelsLastHook


def test_the_forward_pass_runs_in_bfloat16_and_weights_stay_as_they_are():
    model = conv()
    wrapper = BFloat16OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
    before = model.weight.detach().clone()
    with wrapper.optim_context(model):
        out = model(torch.randn(1, 4, 8, 8))
    assert out.dtype == torch.bfloat16
    wrapper.update_params(out.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(model.weight, before)
    assert model(torch.randn(1, 4, 8, 8)).dtype == torch.float32


def test_student_and_teachers_change_their_layout_and_not_their_values():
    model, teacher = nn.Sequential(conv()), conv()
    model.bank = SimpleNamespace(teachers=dict(t=SimpleNamespace(model=teacher)))
    before = model[0].weight.detach().clone()
    ChannelsLastHook().before_train(SimpleNamespace(model=model))
    assert is_channels_last(model[0])
    assert is_channels_last(teacher)
    assert torch.equal(model[0].weight, before)


def test_a_model_without_teachers_is_fine():
    model = nn.Sequential(conv())
    ChannelsLastHook().before_train(SimpleNamespace(model=model))
    assert is_channels_last(model[0])


def test_shortcuts_of_residual_networks_keep_the_usual_layout_on_a_cpu():
    trunk, shortcut = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 16, 1, stride=2, bias=False)
    model = nn.Sequential(trunk, shortcut)
    maps = torch.randn(5, 8, 8, 12)
    expected = model(maps)
    ChannelsLastHook().before_train(SimpleNamespace(model=model))
    given = []
    shortcut.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].is_contiguous()))
    trunk.register_forward_hook(lambda _, __, out: given.append(out.is_contiguous()))
    torch.testing.assert_close(model(maps), expected)
    # The trunk gives channels last; the shortcut reads channels first.
    assert given == [False, True]
    assert shortcut.weight.stride() == (8, 1, 1, 1)


def test_a_shortcut_with_a_frozen_norm_reads_the_usual_layout_too():
    block = FoldingBottleneck(
        8, 4, stride=2, downsample=nn.Sequential(nn.Conv2d(8, 16, 1, stride=2, bias=False), nn.BatchNorm2d(16))
    )
    block.eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.requires_grad_(False)
    maps = torch.randn(2, 8, 6, 6)
    expected = block(maps)
    shortcut = block.downsample
    assert can_fold(shortcut[0], shortcut[1])
    ChannelsLastHook().before_train(SimpleNamespace(model=block))
    torch.testing.assert_close(block(maps.contiguous(memory_format=torch.channels_last)), expected)
    # Folded into its norm, the convolution would not run, nor what puts its input in order.
    assert not can_fold(shortcut[0], shortcut[1])
    assert can_fold(block.conv1, block.norm1)
