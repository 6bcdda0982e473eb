from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from mmdet.models.backbones import ResNet

from mono_distill.models import ImageNetResNet
from mono_distill.utils.errors import CheckpointError, ConfigError


@pytest.fixture(scope='module')
def weights():
    torch.manual_seed(1)
    state = ResNet(18, base_channels=64).state_dict()
    return {**state, 'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)}


def holds(backbone, weights):
    return all(torch.equal(value, weights[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize('name', ['resnet18.pth', 'model.safetensors'])
def test_a_local_file_initialises_the_weights(weights, tmp_path, name):
    if name.endswith('safetensors'):
        pytest.importorskip('safetensors.torch').save_file(weights, tmp_path / name)
    else:
        torch.save(weights, tmp_path / name)
    backbone = ImageNetResNet(18, pretrained=str(tmp_path / name))
    backbone.init_weights()
    assert holds(backbone, weights)


def test_timm_gives_torchvisions_first_weights(weights, monkeypatch):
    asked = []

    def create_model(name, pretrained):
        asked.append((name, pretrained))
        return SimpleNamespace(state_dict=lambda: weights)

    monkeypatch.setitem(sys.modules, 'timm', SimpleNamespace(create_model=create_model))
    backbone = ImageNetResNet(18, pretrained='timm')
    backbone.init_weights()
    assert asked == [('resnet18.tv_in1k', True)]
    assert holds(backbone, weights)


@pytest.mark.parametrize('pretrained', [None, 'none', ''])
def test_without_weights_it_is_mmdets(pretrained):
    backbone = ImageNetResNet(18, out_indices=(1, 2, 3), pretrained=pretrained)
    backbone.init_weights()
    assert [m.shape[1] for m in backbone(torch.zeros(2, 3, 64, 64))] == [128, 256, 512]


def test_stages_that_the_model_does_without_are_dropped(weights):
    backbone = ImageNetResNet(18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))
    report = backbone.load_imagenet_weights(weights)
    assert holds(backbone, weights)
    assert {key.split('.')[0] for key in report.dropped} == {'layer4', 'fc'}


def test_weights_that_do_not_fit_are_refused_whole(weights):
    backbone = ImageNetResNet(18)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    lacking = {name: value for name, value in weights.items() if name != 'conv1.weight'}
    with pytest.raises(CheckpointError, match='1 missing'):
        backbone.load_imagenet_weights(lacking)
    assert holds(backbone, before)


def test_mistakes_are_named(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="is a URL; download the file and give its path, or use 'timm'"):
        ImageNetResNet(18, pretrained='torchvision://resnet18')
    with pytest.raises(CheckpointError, match='no file .*resnet18.pth with ImageNet weights'):
        ImageNetResNet(18, pretrained=str(tmp_path / 'resnet18.pth')).init_weights()

    def fail(name, pretrained):
        raise OSError('no route to the hub')

    monkeypatch.setitem(sys.modules, 'timm', SimpleNamespace(create_model=fail))
    with pytest.raises(ConfigError, match="OSError: no route to the hub.*pretrained='path/to/resnet18.pth'"):
        ImageNetResNet(18, pretrained='timm').init_weights()
