import hashlib
from pathlib import Path

import pytest
import torch

from mono_distill.apis.weights_file import check_output, sha256, write_weights
from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.utils.errors import ConfigError

STATE = {'a.weight': torch.arange(6.0).reshape(2, 3)}
META = {'cfg': 'x = 1', 'classes': ['Car']}


@pytest.mark.parametrize('name', ['x.pth', 'new/x.safetensors'])
def test_what_is_written_is_read_and_equal_content_gives_equal_bytes(tmp_path, name):
    write_weights(tmp_path / name, STATE, META)
    content = load_checkpoint_file(tmp_path / name)
    assert content['meta'] == META
    assert torch.equal(content['state_dict']['a.weight'], STATE['a.weight'])
    write_weights(tmp_path / f'again_{Path(name).name}', STATE, META)
    assert sha256(tmp_path / name) == sha256(tmp_path / f'again_{Path(name).name}')
    assert sha256(tmp_path / name) == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_weights(tmp_path / 'x.pth', STATE, META)
    old = (tmp_path / 'x.pth').read_bytes()

    def stop(content, stream):
        stream.write(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, 'save', stop)
    with pytest.raises(KeyboardInterrupt):
        write_weights(tmp_path / 'x.pth', {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']
    assert (tmp_path / 'x.pth').read_bytes() == old


def test_outputs_that_would_destroy_or_mislead_are_refused(tmp_path):
    file = tmp_path / 'x.pth'
    file.touch()
    (tmp_path / 'folder.pth').mkdir()
    with pytest.raises(ConfigError, match='is the input itself'):
        check_output(tmp_path / '.' / 'x.pth', (file,))
    with pytest.raises(ConfigError, match=r'must end in \.pth or \.safetensors'):
        check_output(tmp_path / 'y.onnx', (file,))
    with pytest.raises(ConfigError, match='is a folder'):
        check_output(tmp_path / 'folder.pth', (file,))
    check_output(tmp_path / 'y.pth', (file,))
