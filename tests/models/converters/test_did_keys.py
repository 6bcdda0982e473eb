from __future__ import annotations

from pathlib import Path

import pytest

from mono_distill.models import CenterNetMono3D
from mono_distill.models.converters import convert_did_keys
from mono_distill.utils.errors import CheckpointError

KEYS = Path(__file__).parents[2] / 'data' / 'golden' / 'keys_didm3d.txt'


@pytest.fixture(scope='module')
def official():
    """Names and shapes of the official state dict."""
    lines = [line.split('\t') for line in KEYS.read_text().splitlines() if not line.startswith('#')]
    return {name: shape for name, shape, _ in lines}


@pytest.fixture(scope='module')
def ours():
    detector = CenterNetMono3D(
        backbone=dict(type='mono_distill.DLANet'),
        neck=dict(type='mono_distill.DLAUpNeck'),
        bbox_head=dict(type='mono_distill.DIDHead'),
    )
    return {name: str(tuple(value.shape)) for name, value in detector.state_dict().items()}


def test_official_names_map_one_to_one_onto_the_detector(official, ours):
    converted, dropped = convert_did_keys(official)
    assert len(official) == 370
    assert dropped == ['backbone.fc.weight', 'backbone.fc.bias']
    assert converted == ours


@pytest.mark.parametrize('prefix', ['centernet_rgb.', 'centernet_depth.'])
def test_one_network_is_taken_out_of_a_distillation_checkpoint(official, ours, prefix):
    state = {
        f'module.{part}{name}': s for part in ('centernet_rgb.', 'centernet_depth.') for name, s in official.items()
    }
    state['module.adapt_layer4.0.weight'] = '(1,)'
    converted, dropped = convert_did_keys(state, prefix)
    assert converted == ours
    assert len(dropped) == 370 + 1 + 2


def test_foreign_keys_are_refused(official):
    with pytest.raises(CheckpointError, match="'neck.ida_0.proj_1.conv.weight' is not a key of an official DID-M3D"):
        convert_did_keys({**official, 'neck.ida_0.proj_1.conv.weight': '(1,)'})
    with pytest.raises(CheckpointError, match="No key of the checkpoint starts with 'centernet_rgb.'"):
        convert_did_keys(official, 'centernet_rgb.')
