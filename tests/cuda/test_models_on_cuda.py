"""On a GPU, models give what they give on a CPU, in the forms that are chosen there."""

from __future__ import annotations

import copy

import pytest
import torch
from bev_students import build_student, camera_inputs, camera_samples, smallest
from centerpoint_models import build, head_config
from cuda.gpu import moved, needs_gpu, without_waiting

pytestmark = needs_gpu


def test_the_branches_of_a_frozen_head_are_joined_and_give_the_same_maps():
    head = build(head_config('centerpoint_pillar02', in_channels=8, share_conv_channel=8)).eval()
    for module in head.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    feats = [torch.randn(2, 8, 16, 16)]
    theirs = copy.deepcopy(head).cuda()
    there = moved(feats)
    with torch.no_grad():
        expected, heat = head(feats), head.heatmaps(feats)
        theirs(there)
        with without_waiting():
            actual, actual_heat = theirs(there), theirs.heatmaps(there)
    for ours, task in zip(actual, expected, strict=True):
        for name, value in task[0].items():
            torch.testing.assert_close(ours[0][name].cpu(), value, rtol=1e-2, atol=1e-2)
    for ours, value in zip(actual_heat, heat, strict=True):
        torch.testing.assert_close(ours.cpu(), value, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize('name', ['bevdet_tiny', 'bevdepth4d_tiny'])
def test_a_students_pictures_go_through_its_backbone_with_the_channels_last(name):
    model = build_student(smallest(name))
    there = copy.deepcopy(model).cuda()
    orders = []
    there.img_neck.register_forward_pre_hook(
        lambda _, args: orders.extend(x.is_contiguous(memory_format=torch.channels_last) for x in args[0])
    )
    frames = model.num_frames
    inputs, samples = camera_inputs(2, frames), camera_samples(2)
    expected = model.loss(inputs, samples)
    actual = there.loss(moved(inputs), camera_samples(2))
    assert orders
    assert all(orders)
    assert set(actual) == set(expected)
    total = sum(value.sum() for value in actual.values())
    total.backward()
    torch.testing.assert_close(
        total.detach().cpu(), sum(v.sum() for v in expected.values()).detach(), rtol=0.05, atol=0
    )
