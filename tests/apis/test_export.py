import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS, init_default_scope
from official_files import pair_state, save_official, small_state
from tiny_kitti import random_teachers

from mono_distill.apis.export import choose_weights, export_student
from mono_distill.apis.plain_config import build_detector, read_config
from mono_distill.compat.checkpoints import install_checkpoint_loader, load_checkpoint_file
from mono_distill.utils.errors import CheckpointError, ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
MONOSKD, STUDENT = str(CONFIGS / 'monoskd_tiny_kitti.py'), str(CONFIGS / 'students' / 'monodle_tiny_kitti.py')


@pytest.fixture(scope='module')
def distiller():
    init_default_scope('mmdet3d')
    torch.manual_seed(0)
    config = random_teachers(Config.fromfile(MONOSKD))
    config.model.teachers.depth.config = str(CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py')
    return MODELS.build(config.model).eval()


@pytest.fixture
def training(distiller, tmp_path):
    """A checkpoint of a distillation as mmengine saves it."""
    return save_training(distiller.state_dict(), tmp_path / 'epoch_2.pth')


def save_training(state, path, **more):
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))]).state_dict()
    content = dict(
        meta=dict(epoch=2, iter=60, cfg='model = 1', seed=444),
        state_dict=state,
        optimizer=optimizer,
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1])), runtime_info=dict(best=np.float64(2))),
    )
    torch.save(content | more, path)
    return path


@pytest.mark.parametrize('safetensors', [False, True])
def test_the_file_holds_the_student_and_nothing_else(distiller, training, safetensors):
    done = export_student(MONOSKD, training, safetensors=safetensors)
    assert done.out.name == f'epoch_2_student.{"safetensors" if safetensors else "pth"}'
    content = load_checkpoint_file(done.out)
    assert set(content) == {'meta', 'state_dict'}
    assert content['state_dict'].keys() == distiller.student.state_dict().keys()
    assert done.tensors == len(content['state_dict'])
    assert done.dropped == len(distiller.state_dict()) - done.tensors > 0
    origin = content['meta']['exported_from']
    assert (origin['file'], origin['epoch'], origin['iter'], origin['weights']) == ('epoch_2.pth', 2, 60, 'last')


def test_the_student_is_rebuilt_from_the_file_alone(distiller, training):
    done = export_student(MONOSKD, training)
    detector = build_detector(read_config(done.out)).eval()
    detector.load_state_dict(load_checkpoint_file(done.out)['state_dict'], strict=True)
    image = torch.randn(1, 3, 96, 320)
    with torch.no_grad():
        ours, theirs = (model(dict(imgs=image), mode='tensor') for model in (detector, distiller.student))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize('safetensors', [False, True])
def test_plain_mmdet3d_loads_file_and_config(distiller, training, safetensors):
    from mmdet3d.apis import init_model

    install_checkpoint_loader()
    done = export_student(MONOSKD, training, safetensors=safetensors)
    model = init_model(str(done.config_file), str(done.out), device='cpu')
    assert type(model) is type(distiller.student)
    assert list(model.dataset_meta['classes']) == ['Pedestrian', 'Car', 'Cyclist']
    expected = distiller.student.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())


def test_the_config_beside_it_is_the_one_in_it(training):
    done = export_student(MONOSKD, training, cfg_options={'test_evaluator.round_decimals': None})
    beside = Config.fromfile(done.config_file)
    assert beside.to_dict() == read_config(done.out).to_dict()
    assert beside.test_evaluator.round_decimals is None


def test_what_was_exported_can_teach(distiller, tmp_path):
    """A teacher is given as the pair of files that an export or a conversion writes."""
    teacher = distiller.bank.teachers['depth'].model
    file = save_training(teacher.state_dict(), tmp_path / 'epoch_9.pth')
    done = export_student(str(CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py'), file, safetensors=True)
    config = Config.fromfile(MONOSKD)
    config.model.teachers.depth = dict(config=str(done.config_file), checkpoint=str(done.out))
    other = MODELS.build(config.model)
    other.init_weights()
    loaded = other.bank.teachers['depth'].model.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in teacher.state_dict().items())
    assert other.bank.teachers['depth'].model.data_preprocessor.modality == 'depth'


def test_a_plain_detector_is_exported_too(distiller, tmp_path):
    file = save_training(distiller.student.state_dict(), tmp_path / 'epoch_1.pth')
    done = export_student(STUDENT, file, out=tmp_path / 'small.safetensors')
    assert done.dropped == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == ['epoch_1.pth', 'small.safetensors', 'small_config.py']
    assert done.out.stat().st_size < file.stat().st_size * 1.05


class TestAveragedWeights:
    @pytest.fixture
    def content(self):
        """What mmengine's EMAHook saves of a model whose weight moved from 0 to 1."""
        model = torch.nn.BatchNorm1d(2)
        hook = EMAHook(momentum=0.5)
        model.weight.data.fill_(0)
        hook.before_run(SimpleNamespace(model=model, iter=0, epoch=0))
        hook.ema_model.update_parameters(model)
        model.weight.data.fill_(1)
        hook.ema_model.update_parameters(model)
        checkpoint = dict(state_dict=model.state_dict())
        hook.before_save_checkpoint(None, checkpoint)
        return copy.deepcopy(checkpoint)

    @pytest.mark.parametrize(
        ('ema', 'value', 'name'), [(None, 0.5, 'averaged'), (True, 0.5, 'averaged'), (False, 1.0, 'last')]
    )
    def test_either_kind_can_be_had(self, content, ema, value, name):
        state, chosen = choose_weights(content, Path('x.pth'), ema)
        assert state['weight'].tolist() == [value, value]
        assert chosen == name
        assert list(state) == list(torch.nn.BatchNorm1d(2).state_dict())

    def test_of_a_distillation_too(self, distiller, tmp_path):
        model = copy.deepcopy(distiller)
        weight = model.student.bbox_head.depth[2].weight.data
        hook = EMAHook(momentum=0.5)
        hook.before_run(SimpleNamespace(model=model, iter=0, epoch=0))
        for value in (0, 1):
            weight.fill_(value)
            hook.ema_model.update_parameters(model)
        checkpoint = dict(state_dict=model.state_dict())
        hook.before_save_checkpoint(None, checkpoint)
        file = save_training(checkpoint.pop('state_dict'), tmp_path / 'x.pth', **checkpoint)
        for ema, value in ((True, 0.5), (False, 1.0)):
            done = export_student(MONOSKD, file, ema=ema, out=tmp_path / f'{ema}.pth')
            state = load_checkpoint_file(done.out)['state_dict']
            assert (state['bbox_head.depth.2.weight'] == value).all()

    def test_a_file_without_any_is_refused_only_if_they_are_asked_for(self):
        content = dict(state_dict={'weight': torch.ones(1)})
        assert choose_weights(content, Path('x.pth'), None)[1] == 'last'
        assert choose_weights(content, Path('x.pth'), False)[1] == 'last'
        with pytest.raises(CheckpointError, match='x.pth holds no averaged weights: it was trained without EMAHook'):
            choose_weights(content, Path('x.pth'), True)


class TestErrors:
    def test_a_checkpoint_of_another_size_is_refused(self, training):
        options = {'model.student.bbox_head.num_classes': 1}
        with pytest.raises(CheckpointError, match=r'epoch_2\.pth does not fit the config: .* 2 mismatched .*heatmap'):
            export_student(MONOSKD, training, cfg_options=options)
        assert [path.name for path in training.parent.iterdir()] == ['epoch_2.pth']

    def test_missing_and_foreign_keys_are_counted(self, distiller, tmp_path):
        state = dict(distiller.student.state_dict())
        state.pop('bbox_head.depth.0.weight')
        file = save_training(state | {'extra.weight': torch.ones(1)}, tmp_path / 'x.pth')
        with pytest.raises(
            CheckpointError, match=r'1 missing \(bbox_head.depth.0.weight\), 1 unexpected \(extra.weight'
        ):
            export_student(STUDENT, file)

    def test_an_official_file_is_to_be_converted(self, tmp_path):
        file = save_official(tmp_path / 'x.pth', small_state('monodle'))
        with pytest.raises(CheckpointError, match='it looks like MonoDLE; convert it with --from monodle'):
            export_student(STUDENT, file)
        file = save_official(tmp_path / 'x.pth', pair_state('didm3d'))
        with pytest.raises(CheckpointError, match='it looks like a MonoSKD checkpoint.*convert it with --from monoskd'):
            export_student(STUDENT, file)
        file = save_training(small_state('didm3d'), tmp_path / 'y.pth')
        with pytest.raises(CheckpointError, match='It looks like DID-M3D: convert it with --from didm3d'):
            export_student(STUDENT, file)

    def test_the_config_is_not_replaced_by_its_own_remains(self, training, tmp_path):
        config = tmp_path / 'x_config.py'
        config.write_text(f"_base_ = '{MONOSKD}'\n")
        with pytest.raises(ConfigError, match=r'its config would replace .*x_config.py'):
            export_student(str(config), training, out=tmp_path / 'x.pth')
        assert config.read_text() == f"_base_ = '{MONOSKD}'\n"
        done = export_student(str(config), training, out=tmp_path / 'y.pth')
        # A config that was written here is written again as it was.
        export_student(str(done.config_file), done.out, out=tmp_path / 'y.safetensors')

    def test_a_misspelt_config_or_output_is_refused(self, training):
        with pytest.raises(ConfigError, match='does not exist'):
            export_student('nowhere.py', training)
        with pytest.raises(ConfigError, match=r'must end in \.safetensors'):
            export_student(MONOSKD, training, out='x.pth', safetensors=True)
