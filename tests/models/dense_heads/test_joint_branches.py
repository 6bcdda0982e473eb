"""Two convolutions instead of two per branch: the same maps; and where the branches stay apart."""

from __future__ import annotations

import types

import pytest
import torch
from centerpoint_models import build, head_config
from mmcv.cnn import ConvModule
from torch import nn

from mono_distill.models.dense_heads import bev_center_head
from mono_distill.models.dense_heads.joint_branches import can_join, joint_branches

ON_GPU = types.SimpleNamespace(is_cuda=True)


def branch(channels, width=6, **options):
    """A plain branch with statistics that are not those of the start."""
    torch.manual_seed(channels)
    hidden = ConvModule(4, width, 3, padding=1, norm_cfg=dict(type='BN2d'), **options)
    for value in (hidden.norm.running_mean, hidden.norm.weight.data, hidden.norm.bias.data):
        value.normal_()
    hidden.norm.running_var.uniform_(0.5, 2)
    return nn.Sequential(hidden, nn.Conv2d(width, channels, 3, padding=1)).eval()


def joins(branches, shared=ON_GPU, tasks=()):
    with torch.no_grad():
        return can_join(tasks, branches, shared)


def test_the_maps_are_those_of_the_branches():
    branches = [branch(channels).double() for channels in (2, 1, 3, 1)]
    shared = torch.randn(2, 4, 7, 9, dtype=torch.float64)
    with torch.no_grad():
        for joint, alone in zip(joint_branches(branches, shared), branches, strict=True):
            torch.testing.assert_close(joint, alone(shared), rtol=0, atol=1e-12)


def test_branches_of_one_form_are_joined_on_a_gpu():
    assert joins([branch(2), branch(3)])
    assert not joins([branch(2), branch(3)], torch.zeros(1, 4, 5, 5))


def test_a_branch_that_is_trained_stays_apart():
    assert not can_join([], [branch(2), branch(3)], ON_GPU)
    assert not joins([branch(2), branch(3).train()])


def test_a_branch_that_somebody_listens_to_stays_apart():
    heard = branch(2)
    heard[0].conv.register_forward_hook(lambda *_: None)
    assert not joins([heard, branch(3)])


def test_branches_stay_apart_where_somebody_listens_to_their_task():
    task = nn.Module()
    assert joins([branch(2), branch(3)], tasks=[task])
    task.register_forward_hook(lambda *_: None)
    assert not joins([branch(2), branch(3)], tasks=[task])


@pytest.mark.parametrize(
    'other',
    [
        None,
        nn.Identity(),
        nn.Sequential(nn.Conv2d(4, 6, 3), nn.Conv2d(6, 2, 3)).eval(),
        branch(2)[:1],
        branch(2, width=8),
        branch(2, dilation=2),
        branch(2, act_cfg=dict(type='Sigmoid')),
        branch(2, act_cfg=None),
    ],
    ids=['none', 'other', 'no norm', 'short', 'wide', 'dilated', 'sigmoid', 'no activation'],
)
def test_branches_of_another_form_stay_apart(other):
    assert not joins([branch(3), other])


def test_the_head_gives_the_same_maps_in_both_ways(monkeypatch):
    head = build(head_config(in_channels=8)).eval()
    feats = [torch.randn(2, 8, 16, 16)]
    with torch.no_grad():
        apart, heat = head(feats), head.heatmaps(feats)
        asked = []
        monkeypatch.setattr(bev_center_head, 'can_join', lambda tasks, branches, shared: asked.append(branches) or True)
        joint, joint_heat = head(feats), head.heatmaps(feats)
    assert len(asked) == 2
    for ours, theirs in zip(joint, apart, strict=True):
        assert list(ours[0]) == list(theirs[0])
        for name, value in theirs[0].items():
            torch.testing.assert_close(ours[0][name], value, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(joint_heat, heat, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
