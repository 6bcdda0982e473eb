"""Checkpoints load without running what is in them, and say what is wrong when they do not."""

from __future__ import annotations

import os
import pickle
import random
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mono_distill.compat import checkpoints
from mono_distill.compat.checkpoints import ALLOW_PICKLE_VARIABLE, install_checkpoint_loader, load_checkpoint_file
from mono_distill.utils.errors import CheckpointError


class Exploit:
    """Runs a shell command when it is unpickled."""

    def __init__(self, victim):
        self.command = f'touch {victim}'

    def __reduce__(self):
        return os.system, (self.command,)


class Bystander:
    """A harmless class that is not on the list."""

    value = 3


@pytest.fixture
def saved(tmp_path):
    """Save something and return its path."""

    def save(content, **options):
        path = tmp_path / 'checkpoint.pth'
        torch.save(content, path, **options)
        return path

    return save


class LinearModel(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x, mode='tensor'):
        value = self.linear(torch.stack(x)).square().mean()
        return {'loss': value} if mode == 'loss' else value


def runner(folder, epochs, **options):
    data = [{'x': torch.randn(2)} for _ in range(4)]
    return Runner(
        LinearModel(),
        work_dir=str(folder),
        train_dataloader={'dataset': data, 'batch_size': 2, 'sampler': DefaultSampler(data, shuffle=False)},
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        optim_wrapper={'optimizer': {'type': 'AdamW', 'lr': 0.01}},
        param_scheduler={'type': 'LinearLR', 'end': 4},
        experiment_name=f'{folder.name}_{epochs}',
        log_level='ERROR',
        **options,
    )


@pytest.fixture(scope='module')
def training(tmp_path_factory):
    """The folder of a training of one epoch."""
    folder = tmp_path_factory.mktemp('training')
    install_checkpoint_loader()
    runner(folder, 1).train()
    return folder


class TestWhatLoads:
    def test_checkpoint_of_mmengine(self, training):
        checkpoint = load_checkpoint_file(training / 'epoch_1.pth')
        trusted = torch.load(training / 'epoch_1.pth', weights_only=False)
        assert checkpoint.keys() == trusted.keys()
        assert checkpoint['meta'] == trusted['meta']
        histories, expected = (c['message_hub']['log_scalars'] for c in (checkpoint, trusted))
        assert histories.keys() == expected.keys()
        for name, history in histories.items():
            assert type(history) is HistoryBuffer
            np.testing.assert_array_equal(history.data[0], expected[name].data[0])
            np.testing.assert_array_equal(history.data[1], expected[name].data[1])

    def test_mmengine_resumes_from_its_checkpoint(self, training):
        resumed = runner(training, 2, resume=True)
        resumed.train()
        assert (resumed.epoch, resumed.iter) == (2, 4)
        assert len(resumed.message_hub.get_scalar('train/loss').data[0]) == 4

    def test_weights_load_into_a_model(self, training):
        model = LinearModel()
        load_checkpoint(model, str(training / 'epoch_1.pth'))
        expected = torch.load(training / 'epoch_1.pth', weights_only=False)['state_dict']['linear.weight']
        torch.testing.assert_close(model.linear.weight.data, expected)

    def test_checkpoint_of_the_official_monocular_code(self, saved):
        """Epoch, states and the best result as a numpy scalar, as MonoDLE and its descendants save them."""
        state = OrderedDict({'conv.weight': torch.randn(2, 2)})
        optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict()
        content = dict(epoch=140, model_state=state, optimizer_state=optimizer, best_result=np.float64(18.25))
        loaded = load_checkpoint_file(saved(content))
        assert loaded['best_result'] == 18.25
        assert isinstance(loaded['best_result'], np.float64)
        torch.testing.assert_close(loaded['model_state']['conv.weight'], state['conv.weight'])

    @pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
    def test_everything_that_training_code_keeps(self, saved, zipped):
        content = {
            'nested': OrderedDict(student=OrderedDict(w=torch.ones(2)), distill=OrderedDict(b=torch.zeros(1))),
            'plain': [1, 2.5, 'text', None, True, (1, 2), {'a'}, b'bytes', b'', 10**20, 1j],
            'rng': {'torch': torch.get_rng_state(), 'numpy': np.random.get_state(), 'python': random.getstate()},
            'arrays': [np.arange(6).reshape(2, 3).T, np.array(['Car', 'Cyclist']), np.zeros((0, 7), np.float32)],
            'scalars': [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_('best.pth')],
            'dtype': np.dtype('float32'),
            'parameter': torch.nn.Parameter(torch.ones(1)),
        }
        loaded = load_checkpoint_file(saved(content, _use_new_zipfile_serialization=zipped))
        assert loaded['plain'] == content['plain']
        assert loaded['rng']['python'] == content['rng']['python']
        np.random.set_state(loaded['rng']['numpy'])
        assert loaded['dtype'] == np.float32
        for actual, expected in zip(loaded['arrays'], content['arrays'], strict=True):
            assert actual.dtype == expected.dtype
            np.testing.assert_array_equal(actual, expected)
        for actual, expected in zip(loaded['scalars'], content['scalars'], strict=True):
            assert type(actual) is type(expected)
            assert actual == expected

    def test_file_written_with_numpy_2(self, saved):
        """numpy 2 calls its module numpy._core; a pickle is text, so the name can be exchanged."""
        path = saved({'x': np.arange(3.0)}, _use_new_zipfile_serialization=False)
        data = path.read_bytes()
        assert b'cnumpy.core.multiarray\n' in data
        path.write_bytes(data.replace(b'cnumpy.core.multiarray\n', b'cnumpy._core.multiarray\n'))
        np.testing.assert_array_equal(load_checkpoint_file(path)['x'], np.arange(3.0))

    def test_the_list_of_torch_is_as_before_afterwards(self, training):
        # torch keeps a set: the order in which it lists it is not fixed.
        before = sorted(map(repr, torch.serialization.get_safe_globals()))
        load_checkpoint_file(training / 'epoch_1.pth')
        assert sorted(map(repr, torch.serialization.get_safe_globals())) == before

    def test_path_of_the_home_folder(self, saved, monkeypatch, tmp_path):
        saved({'a': 1})
        monkeypatch.setenv('HOME', str(tmp_path))
        assert load_checkpoint_file('~/checkpoint.pth') == {'a': 1}


class TestWhatIsRefused:
    @pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
    def test_a_file_that_runs_a_command(self, saved, tmp_path, zipped):
        path = saved({'state_dict': {}, 'x': Exploit(tmp_path / 'victim')}, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r'system.*MONO_DISTILL_ALLOW_PICKLE=1'):
            load_checkpoint_file(path)
        assert not (tmp_path / 'victim').exists()

    def test_a_file_that_reaches_for_a_function_by_getattr(self, saved, tmp_path):
        class Indirect:
            def __reduce__(self):
                return getattr, (np.ndarray, 'tofile')

        loaded = load_checkpoint_file(saved({'x': Indirect()}))
        assert loaded == {'x': 'tofile'}

    def test_a_class_that_is_not_on_the_list_is_named(self, saved):
        with pytest.raises(CheckpointError, match=r"needs the object '.*Bystander'.*allow_pickle=True"):
            load_checkpoint_file(saved({'x': Bystander()}))

    def test_array_of_objects(self, saved):
        with pytest.raises(CheckpointError, match='only plain numbers and strings can be loaded safely'):
            load_checkpoint_file(saved({'x': np.array([{}, None], dtype=object)}))

    def test_structured_array(self, saved):
        with pytest.raises(CheckpointError, match='only plain numbers and strings can be loaded safely'):
            load_checkpoint_file(saved({'x': np.zeros(2, dtype=[('a', 'f8'), ('b', 'i4')])}))

    def test_mmengine_refuses_it_too(self, saved, tmp_path):
        path = saved({'state_dict': {}, 'x': Exploit(tmp_path / 'victim')})
        with pytest.raises(CheckpointError, match='system'):
            load_checkpoint(LinearModel(), str(path))
        assert not (tmp_path / 'victim').exists()


class TestTheSwitch:
    def test_argument_allows_any_object(self, saved):
        assert load_checkpoint_file(saved({'x': Bystander()}), allow_pickle=True)['x'].value == 3

    @pytest.mark.parametrize('value', ['1', 'true', 'YES'])
    def test_environment_allows_any_object(self, saved, monkeypatch, value):
        monkeypatch.setenv(ALLOW_PICKLE_VARIABLE, value)
        assert load_checkpoint_file(saved({'x': Bystander()}))['x'].value == 3

    @pytest.mark.parametrize('value', ['', '0', 'no'])
    def test_environment_that_does_not_say_yes(self, saved, monkeypatch, value):
        monkeypatch.setenv(ALLOW_PICKLE_VARIABLE, value)
        with pytest.raises(CheckpointError, match='Bystander'):
            load_checkpoint_file(saved({'x': Bystander()}))

    def test_switch_of_torch_makes_no_difference(self, saved, monkeypatch):
        monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
        with pytest.raises(CheckpointError, match='Bystander'):
            load_checkpoint_file(saved({'x': Bystander()}))

    def test_using_the_switch_is_logged(self, saved, caplog):
        load_checkpoint_file(saved({'x': Bystander()}), allow_pickle=True)
        assert 'loaded without restrictions' in caplog.text


class TestTorchBefore26:
    """There torch cannot list globals by their name in the file."""

    @pytest.fixture(autouse=True)
    def _old_torch(self, monkeypatch):
        monkeypatch.setattr(checkpoints, '_LISTS_GLOBALS', False)

    def test_weights_load(self, saved):
        assert load_checkpoint_file(saved({'state_dict': OrderedDict(w=torch.ones(1)), 'epoch': 3}))['epoch'] == 3

    def test_training_checkpoints_need_the_switch(self, training):
        with pytest.raises(CheckpointError, match=r'torch >= 2\.6.*MONO_DISTILL_ALLOW_PICKLE=1'):
            load_checkpoint_file(training / 'epoch_1.pth')
        assert load_checkpoint_file(training / 'epoch_1.pth', allow_pickle=True)['meta']['epoch'] == 1


class TestFilesThatAreNoCheckpoint:
    def test_missing_file_lists_its_neighbours(self, saved, tmp_path):
        saved({})
        with pytest.raises(CheckpointError, match=r'there is no checkpoint .*epoch_9.pth; .* holds checkpoint.pth'):
            load_checkpoint_file(tmp_path / 'epoch_9.pth')

    def test_missing_file_in_an_empty_folder(self, tmp_path):
        with pytest.raises(CheckpointError, match=r'holds no \.pth file'):
            load_checkpoint_file(tmp_path / 'epoch_9.pth')

    def test_missing_folder(self, tmp_path):
        with pytest.raises(CheckpointError, match='does not exist either'):
            load_checkpoint_file(tmp_path / 'no_folder' / 'epoch_9.pth')

    def test_folder_instead_of_a_file(self, saved, tmp_path):
        saved({})
        with pytest.raises(CheckpointError, match=r'is a folder; .* holds checkpoint\.pth'):
            load_checkpoint_file(tmp_path)

    @pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'before torch 1.6'])
    @pytest.mark.parametrize('kept', [0.02, 0.5, 0.98])
    def test_truncated_file(self, saved, kept, zipped):
        path = saved({'w': torch.randn(1000)}, _use_new_zipfile_serialization=zipped)
        data = path.read_bytes()
        path.write_bytes(data[: int(kept * len(data))])
        with pytest.raises(CheckpointError, match=r'checkpoint\.pth cannot be'):
            load_checkpoint_file(path)

    @pytest.mark.parametrize(
        ('content', 'reason'),
        [
            (b'', 'the file is empty'),
            (b'version https://git-lfs.github.com/spec/v1\noid', 'git-lfs pointer'),
            (b'\n<!DOCTYPE html><html>', 'it is a web page'),
            (b'epoch 3', r'not a file written by torch\.save'),
        ],
    )
    def test_other_kinds_of_files_are_recognised(self, tmp_path, content, reason):
        path = tmp_path / 'download.pth'
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=f'cannot be read as a checkpoint: .*{reason}.*download or copy'):
            load_checkpoint_file(path)

    def test_file_that_holds_no_dictionary(self, saved):
        with pytest.raises(CheckpointError, match='holds a list; expected a dictionary'):
            load_checkpoint_file(saved([1, 2]))

    @pytest.mark.filterwarnings('ignore:Detected pickle protocol')
    def test_pickle_of_something_else(self, tmp_path):
        path = tmp_path / 'infos.pkl'
        path.write_bytes(pickle.dumps({'a': 1}))
        with pytest.raises(CheckpointError, match=r'infos\.pkl cannot be'):
            load_checkpoint_file(path)

    @pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
    def test_tensor_of_a_gpu_is_not_called_damage(self, saved):
        with pytest.raises(CheckpointError, match="map_location='cpu'"):
            load_checkpoint_file(saved({'w': torch.ones(1)}), map_location='cuda')


class TestMmengineLoader:
    def test_local_files_go_through_ours(self):
        install_checkpoint_loader()
        assert CheckpointLoader._get_checkpoint_loader('work_dirs/a.pth').__module__.startswith('mono_distill')

    @pytest.mark.parametrize('path', ['https://host/a.pth', 's3://bucket/a.pth', 'torchvision://resnet50'])
    def test_remote_files_do_not(self, path):
        install_checkpoint_loader()
        assert CheckpointLoader._get_checkpoint_loader(path).__module__ == 'mmengine.runner.checkpoint'

    def test_map_location_may_be_a_function(self, saved):
        moved = []

        def keep(storage, location):
            moved.append(location)
            return storage

        CheckpointLoader.load_checkpoint(str(saved({'w': torch.ones(1)})), map_location=keep, logger='silent')
        assert moved == ['cpu']
