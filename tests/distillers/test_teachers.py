import pytest
import torch
from toy import ToyDetector, batch, build_distiller, distiller_config, train_losses

from mono_distill.distillers.teachers import TeacherSpec, detach
from mono_distill.utils.errors import CheckpointError, ConfigError


def with_teacher(**changes):
    teacher = {**distiller_config()['teachers']['depth'], **changes}
    return build_distiller(teachers=dict(depth=teacher))


def test_a_teacher_without_a_checkpoint_is_refused_unless_asked_for():
    model = with_teacher(allow_random=False)
    with pytest.raises(ConfigError, match=r'model.teachers.depth: no checkpoint. Train the teacher'):
        model.init_weights()
    with pytest.raises(ConfigError, match='no checkpoint'):
        train_losses(model)


def test_a_checkpoint_is_loaded_before_training_starts(tmp_path):
    trained = ToyDetector()
    torch.save({'state_dict': trained.state_dict()}, tmp_path / 't.pth')
    model = with_teacher(checkpoint=str(tmp_path / 't.pth'), allow_random=False)
    model.init_weights()
    assert torch.equal(model.bank.teachers['depth'].model.neck.weight, trained.neck.weight)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match='gone.pth'):
        with_teacher(checkpoint=str(tmp_path / 'gone.pth')).init_weights()


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    torch.save({'state_dict': ToyDetector(channels=8).state_dict()}, tmp_path / 't.pth')
    with pytest.raises(
        CheckpointError, match=r'of another architecture. \d+ of another shape: backbone.0.weight \(8, 1'
    ):
        with_teacher(checkpoint=str(tmp_path / 't.pth')).init_weights()


def test_each_model_gets_its_own_input():
    model = build_distiller()
    data = batch()
    prepared = model.data_preprocessor(data, True)
    assert torch.equal(prepared['inputs']['imgs'], torch.stack(data['inputs']['img']))
    assert torch.equal(prepared['teacher_inputs']['depth']['inputs']['imgs'], torch.stack(data['inputs']['depth_map']))


def test_an_input_can_be_renamed():
    detector = dict(type='mono_distill.ToyDetector')
    model = with_teacher(detector=detector, inputs=dict(img='depth_map'))
    data = batch()
    prepared = model.data_preprocessor(data, True)
    assert torch.equal(prepared['teacher_inputs']['depth']['inputs']['imgs'], torch.stack(data['inputs']['depth_map']))
    assert torch.equal(prepared['inputs']['imgs'], torch.stack(data['inputs']['img']))


def test_a_missing_input_names_what_there_is_and_the_transform():
    model = with_teacher(detector=dict(type='mono_distill.ToyDetector'), inputs=dict(img='points'))
    with pytest.raises(ConfigError, match=r"no input 'points' \(it has img, depth_map\); add the transform"):
        model.data_preprocessor(batch(), True)


def test_data_samples_are_not_shared_between_models():
    model = build_distiller()
    prepared = model.data_preprocessor(batch(), True)
    prepared['teacher_inputs']['depth']['data_samples'][0].set_metainfo(dict(pad_shape=(1, 1)))
    assert 'pad_shape' not in prepared['data_samples'][0]


def test_the_head_runs_only_when_it_is_tapped():
    model = build_distiller()
    head_ran = []
    model.bank.teachers['depth'].model.bbox_head.register_forward_hook(lambda *_: head_ran.append(1))
    train_losses(model)
    assert head_ran == []


@pytest.mark.parametrize('options', [dict(amp='half', config='x'), dict(config='x', detector={}), dict(confg='x')])
def test_impossible_options_are_refused(options):
    with pytest.raises(ConfigError, match=r'model.teachers.depth: '):
        TeacherSpec.read('depth', options)


def test_own_precision_of_a_teacher():
    seen = []
    model = with_teacher(amp='bf16')
    model.bank.teachers['depth'].model.neck.register_forward_hook(lambda m, a, out: seen.append(out.dtype))
    train_losses(model)
    assert seen == [torch.bfloat16]


def test_a_distillation_config_as_teacher_gives_its_student(tmp_path):
    (tmp_path / 'd.py').write_text(
        "model = dict(type='mono_distill.CrossModalDistiller', student=dict(type='mono_distill.ToyDetector'))"
    )
    spec = TeacherSpec.read('ta', dict(config=str(tmp_path / 'd.py')))
    assert spec.model_config() == dict(type='mono_distill.ToyDetector')


def test_detach_reaches_nested_tensors():
    x = torch.ones(1, requires_grad=True)
    nested = detach({'a': [x * 1], 'b': (x * 2, 'text')})
    assert not nested['a'][0].requires_grad
    assert not nested['b'][0].requires_grad
