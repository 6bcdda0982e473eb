from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from mmdet3d.models.backbones.dla import DLANet as MMDet3dDLANet
from mmengine.runner.checkpoint import load_checkpoint

from mono_distill.models import DLANet
from mono_distill.registry import MODELS
from mono_distill.utils.errors import CheckpointError, ConfigError


@pytest.fixture(scope='module')
def reference():
    torch.manual_seed(1)
    return MMDet3dDLANet(34, norm_cfg=dict(type='BN'), out_indices=(2, 3, 4, 5)).eval()


def official_names(state):
    """Undo the renaming: the names of the official ImageNet file, with its classifier."""
    names = {'norm1.': 'bn1.', 'norm2.': 'bn2.', 'root.norm.': 'root.bn.'}
    official = {}
    for key, value in state.items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        official[key] = value.clone()
    return {**official, 'fc.weight': torch.zeros(1000, 512, 1, 1), 'fc.bias': torch.zeros(1000)}


@pytest.fixture(scope='module')
def official(reference):
    return official_names(reference.state_dict())


def equal_states(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_maps_are_bit_equal_to_mmdet3d(reference):
    backbone = DLANet().eval()
    backbone.load_state_dict(reference.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, expected = backbone(image), reference(image)
    assert [tuple(m.shape) for m in maps] == [(1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6), (1, 512, 2, 3)]
    assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))


def test_official_names_load_strictly_into_the_backbone(reference, official):
    backbone = DLANet()
    backbone.load_state_dict(official)
    assert equal_states(backbone.state_dict(), reference.state_dict())


def test_official_names_load_strictly_inside_a_detector(reference, official):
    detector = torch.nn.ModuleDict(dict(backbone=DLANet(), other=torch.nn.Linear(1, 1)))
    state = {f'backbone.{key}': value for key, value in official.items()}
    detector.load_state_dict({**state, 'other.weight': torch.ones(1, 1), 'other.bias': torch.ones(1)})
    assert equal_states(detector['backbone'].state_dict(), reference.state_dict())


def test_official_names_load_through_mmengine(reference, official, tmp_path):
    torch.save(official, tmp_path / 'dla34.pth')
    backbone = DLANet()
    load_checkpoint(backbone, str(tmp_path / 'dla34.pth'), strict=True)
    assert equal_states(backbone.state_dict(), reference.state_dict())


def test_every_trainable_parameter_receives_a_gradient():
    backbone = DLANet()
    sum(m.square().mean() for m in backbone(torch.randn(1, 3, 64, 64))).backward()
    without = {name for name, p in backbone.named_parameters() if p.grad is None}
    assert without == {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert {name.split('.project')[0] for name in without} == {'level3', 'level4'}


def test_a_local_file_initialises_the_weights(reference, official, tmp_path):
    torch.save(official, tmp_path / 'dla34-ba72cf86.pth')
    backbone = MODELS.build(dict(type='mono_distill.DLANet', pretrained=str(tmp_path / 'dla34-ba72cf86.pth')))
    backbone.init_weights()
    assert equal_states(backbone.state_dict(), reference.state_dict())


def test_a_safetensors_file_initialises_the_weights(reference, official, tmp_path):
    safetensors = pytest.importorskip('safetensors.torch')
    safetensors.save_file(official, tmp_path / 'model.safetensors')
    backbone = DLANet(pretrained=str(tmp_path / 'model.safetensors'))
    backbone.init_weights()
    assert equal_states(backbone.state_dict(), reference.state_dict())


def test_timm_weights_lack_only_the_unused_projections(reference, official, monkeypatch):
    weights = {k: v for k, v in official.items() if not k.startswith(('level3.project', 'level4.project'))}
    model = SimpleNamespace(state_dict=lambda: weights)
    monkeypatch.setitem(sys.modules, 'timm', SimpleNamespace(create_model=lambda name, pretrained: model))
    backbone = DLANet(pretrained='timm')
    backbone.init_weights()
    maps = backbone.eval()(torch.ones(1, 3, 32, 32))
    assert all(torch.equal(a, b) for a, b in zip(maps, reference(torch.ones(1, 3, 32, 32)), strict=True))


def test_the_report_names_what_was_dropped(official):
    report = DLANet().load_imagenet_weights(official)
    assert report.summary() == '234 tensors loaded, 2 dropped (fc.weight, fc.bias)'


def test_a_failing_timm_points_to_the_file_option(monkeypatch):
    def fail(name, pretrained):
        raise OSError('no route to the hub')

    monkeypatch.setitem(sys.modules, 'timm', SimpleNamespace(create_model=fail))
    with pytest.raises(ConfigError, match=r"OSError: no route to the hub.*pretrained='path/to/dla34-ba72cf86.pth'"):
        DLANet(pretrained='timm').init_weights()


def test_weights_that_do_not_fit_are_refused_whole(official):
    backbone = DLANet()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    lacking = {key: value for key, value in official.items() if key != 'level5.root.bn.weight'}
    with pytest.raises(CheckpointError, match=r'1 missing \(level5.root.norm.weight\)'):
        backbone.load_imagenet_weights(lacking)
    with pytest.raises(CheckpointError, match=r'1 unexpected \(level9.weight\)'):
        backbone.load_imagenet_weights({**official, 'level9.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r'unexpected'):
        DLANet(norm_cfg=dict(type='GN', num_groups=8)).load_imagenet_weights(official)
    assert equal_states(backbone.state_dict(), before)


@pytest.mark.parametrize('pretrained', [None, 'none', ''])
def test_no_weights_can_be_asked_for_by_a_string(pretrained):
    backbone = DLANet(pretrained=pretrained)
    backbone.load_imagenet_weights = lambda source: pytest.fail(f'weights were read from {source!r}')
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.init_weights()
    assert not equal_states(backbone.state_dict(), before), 'Kaiming initialisation must have drawn new weights'


def test_missing_files_and_urls_are_refused():
    with pytest.raises(CheckpointError, match='no file nowhere.pth'):
        DLANet(pretrained='nowhere.pth').init_weights()
    with pytest.raises(ConfigError, match='is a URL; download the file'):
        DLANet(pretrained='http://example.com/dla34.pth')
