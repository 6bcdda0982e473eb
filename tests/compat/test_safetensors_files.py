import sys

import pytest
import torch

from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.compat.safetensors_files import read_safetensors, write_safetensors
from mono_distill.utils.errors import CheckpointError


def test_weights_and_meta_come_back(tmp_path):
    state = {'a.weight': torch.randn(2, 3), 'n': torch.tensor(5)}
    meta = {'cfg': "model = dict(type='Ä')\n", 'dataset_meta': {'classes': ['Car']}}
    write_safetensors(tmp_path / 'x.safetensors', state, meta)
    content = load_checkpoint_file(tmp_path / 'x.safetensors')
    assert content['meta'] == meta
    assert content['state_dict'].keys() == state.keys()
    assert all(torch.equal(content['state_dict'][key], value) for key, value in state.items())


def test_a_file_of_others_has_no_meta(tmp_path):
    from safetensors.torch import save_file

    save_file({'a': torch.ones(1)}, tmp_path / 'x.safetensors')
    assert read_safetensors(tmp_path / 'x.safetensors')['meta'] == {}


def test_mmengine_loads_such_a_file(tmp_path):
    from mmengine.runner import load_checkpoint

    from mono_distill.compat.checkpoints import install_checkpoint_loader

    install_checkpoint_loader()
    model, twin = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    write_safetensors(tmp_path / 'x.safetensors', model.state_dict(), {})
    load_checkpoint(twin, str(tmp_path / 'x.safetensors'), map_location='cpu')
    assert torch.equal(twin.weight, model.weight)


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04 a zip file', b'<html></html>'])
def test_another_type_of_file_is_named(tmp_path, content):
    (tmp_path / 'x.safetensors').write_bytes(content)
    with pytest.raises(CheckpointError, match=r'x\.safetensors cannot be read as safetensors'):
        load_checkpoint_file(tmp_path / 'x.safetensors')


def test_without_the_package_the_cure_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'safetensors', None)
    with pytest.raises(CheckpointError, match=r'pip install safetensors, or use a \.pth file'):
        write_safetensors(tmp_path / 'x.safetensors', {}, {})
