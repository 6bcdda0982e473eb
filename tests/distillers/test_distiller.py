import copy

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from toy import ToyDetector, batch, build_distiller, distiller_config, train_losses

from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, NonFiniteError


def teacher_of(model):
    return model.bank.teachers['depth'].model


def test_the_student_keeps_its_own_losses_and_gains_the_distillation():
    losses = train_losses(build_distiller())
    assert set(losses) == {'loss_mean', 'loss_kd_feature', 'kd_feature', 'kd_ratio', 'teacher_ms'}
    assert losses['loss_kd_feature'].item() == pytest.approx(0.5 * losses['kd_feature'].item())
    expected = losses['loss_kd_feature'] / (losses['loss_kd_feature'] + losses['loss_mean'])
    assert losses['kd_ratio'].item() == pytest.approx(expected.item())
    assert losses['teacher_ms'] > 0


def test_only_keys_with_loss_are_summed():
    model = build_distiller()
    losses = train_losses(model)
    total, _ = model.parse_losses(losses)
    assert total.item() == pytest.approx((losses['loss_mean'] + losses['loss_kd_feature']).item())


def test_distillation_sends_gradient_to_student_and_adapter_and_none_to_the_teacher():
    model = build_distiller()
    train_losses(model)['loss_kd_feature'].backward()
    assert model.student.neck.weight.grad.abs().sum() > 0
    assert model.graph.adapters['s_a'].conv.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher_of(model).parameters())


def test_prediction_is_the_students():
    model = build_distiller().eval()
    data = model.data_preprocessor(batch(), False)
    assert 'teacher_inputs' not in data
    assert torch.equal(model(**data, mode='predict')[0].pred, model.student(**data, mode='predict')[0].pred)
    assert torch.equal(model(**data), model.student(**data))


def test_teachers_are_invisible():
    model = build_distiller()
    assert not [key for key in model.state_dict() if 'teacher' in key or 'bank' in key]
    trained = {id(parameter) for parameter in model.parameters()}
    assert not trained & {id(parameter) for parameter in teacher_of(model).parameters()}
    assert not any(parameter.requires_grad for parameter in teacher_of(model).parameters())


def test_a_training_step_leaves_the_teacher_as_it_was():
    model = build_distiller()
    before = copy.deepcopy(teacher_of(model).state_dict())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model.train()
    sum(value for key, value in train_losses(model).items() if 'loss' in key).backward()
    optimizer.step()
    after = teacher_of(model).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert not teacher_of(model).training


def test_train_mode_of_a_teacher_uses_batch_statistics():
    teachers = dict(depth=dict(distiller_config()['teachers']['depth'], train_mode=True))
    model = build_distiller(teachers=teachers)
    before = teacher_of(model).backbone[1].running_mean.clone()
    train_losses(model)
    assert not torch.equal(before, teacher_of(model).backbone[1].running_mean)


def test_teachers_follow_dtype_moves():
    model = build_distiller().double()
    assert next(teacher_of(model).parameters()).dtype == torch.float64


def test_a_copy_shares_the_teachers():
    model = build_distiller()
    assert copy.deepcopy(model).bank is model.bank
    assert copy.deepcopy(model).data_preprocessor.bank is model.bank


def test_a_checkpoint_loads_into_the_plain_student():
    model = build_distiller()
    state = model.state_dict()
    student = ToyDetector()
    result = student.load_state_dict(state, strict=False)
    assert result.missing_keys == []
    assert all(key.startswith('distill.') for key in result.unexpected_keys)
    assert torch.equal(student.neck.weight, model.student.neck.weight)


@pytest.mark.parametrize('load', ['torch', 'mmengine'])
def test_a_checkpoint_resumes_the_distillation(load):
    source, target = build_distiller(), build_distiller()
    assert not torch.equal(source.student.neck.weight, target.student.neck.weight)
    if load == 'torch':
        target.load_state_dict(source.state_dict(), strict=True)
    else:
        load_state_dict(target, source.state_dict(), strict=True)
    for key, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[key]), key


def test_a_plain_students_checkpoint_starts_a_distillation():
    student, model = ToyDetector(), build_distiller()
    result = model.load_state_dict(student.state_dict(), strict=False)
    assert all('graph.adapters' in key for key in result.missing_keys)
    assert result.unexpected_keys == []
    assert torch.equal(student.neck.weight, model.student.neck.weight)


def test_names_survive_an_ema_wrapper():
    from mmengine.model import ExponentialMovingAverage

    model = build_distiller()
    averaged = ExponentialMovingAverage(model)
    averaged.update_parameters(model)
    keys = [key.removeprefix('module.') for key in averaged.state_dict() if key != 'steps']
    assert keys == list(model.state_dict())


def test_repeated_steps_do_not_grow_the_record():
    model = build_distiller()
    for _ in range(3):
        train_losses(model)
    assert all(not recorder.calls for recorder in model.taps._recorders.values())


def test_zero_samples_of_gradient_reach_every_parameter_when_distillation_is_over():
    schedule = dict(kind='constant', until=1, end=0.0)
    losses = dict(feature=dict(distiller_config()['losses']['feature'], schedule=schedule))
    model = build_distiller(losses=losses)
    model.set_progress(1.0, 10)
    data = model.data_preprocessor(batch(), True)
    assert 'teacher_inputs' not in data
    out = model(**data, mode='loss')
    assert set(out) == {'loss_mean', 'loss_kd_idle'}
    sum(out.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_schedule_that_nobody_advances_is_an_error():
    losses = dict(feature=dict(distiller_config()['losses']['feature'], schedule=dict(until=3, start=0.0)))
    with pytest.raises(ConfigError, match='mono_distill.DistillScheduleHook'):
        train_losses(build_distiller(losses=losses))


def test_a_loss_that_is_not_finite_names_the_samples():
    model = build_distiller()
    torch.nn.init.constant_(model.graph.adapters['s_a'].conv.weight, float('nan'))
    with pytest.raises(NonFiniteError, match=r'loss feature is not finite. Samples: 000000, 000001'):
        train_losses(model)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(taps=dict(s='studnt:neck', t='depth:neck')), r"no model is called 'studnt'; did you mean 'student'\?"),
        (dict(taps=dict(s='student:neck', t='depth:nek')), r"depth has no module 'nek'; did you mean 'neck'\?"),
        (
            dict(adapters=dict(s_b=dict(type='mono_distill.ToyAdapter', inputs='s'))),
            "no value 's_a'; did you mean 's_b'",
        ),
        (dict(student=dict(type='mono_distill.ToyDetector', chanels=3)), r"did you mean 'channels'\?"),
        (dict(student=dict(type='mono_distill.ToyDetectr')), r"did you mean 'mono_distill.ToyDetector'\?"),
        (dict(student=dict(channels=3)), "model.student: has no 'type'"),
        (dict(teachers=dict(depth=dict(cfg='x'))), r"model.teachers.depth: no option 'cfg'; did you mean 'config'\?"),
        (dict(teachers=dict(depth=dict(checkpoint='x'))), "give either 'config'"),
        (dict(teachers=dict(depth=dict(config='no/such.py'))), r"config 'no/such.py' does not exist"),
        (dict(teachers=dict(student=dict(config='x'))), "'student' is the name of the student"),
    ],
)
def test_mistakes_are_named_when_the_model_is_built(changes, message):
    with pytest.raises(ConfigError, match=message):
        build_distiller(**changes)


def test_building_through_mmengines_root_registry_is_the_same():
    from mmengine.registry import MODELS as ROOT

    assert type(ROOT.build(distiller_config())) is MODELS.get('mono_distill.CrossModalDistiller')


def test_the_whole_step_runs_under_bfloat16_autocast():
    model = build_distiller()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = train_losses(model)
    assert losses['loss_kd_feature'].dtype == torch.float32
    losses['loss_kd_feature'].backward()
    assert model.student.neck.weight.grad.isfinite().all()
