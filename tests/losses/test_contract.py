"""What every distillation loss promises, tested alike for all of them.

A new loss joins by an entry in ``tests/loss_cases``.
"""

import copy

import pytest
import torch
from loss_cases import CASES
from loss_cases.case import change, filled, tensors
from torch import nn

from mono_distill.registry import MODELS
from mono_distill.utils.errors import MonoDistillError


def only(condition):
    """Parametrise over the names of the cases that fulfil a condition."""
    return pytest.mark.parametrize('name', [name for name, case in CASES.items() if condition(case)])


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def loss_and_gradients(call, arguments):
    """The loss and its gradients for every tensor of the student; zeros where it does not depend on one."""
    student = change(arguments['student'], lambda x: x.detach().clone().requires_grad_())
    loss = call({**arguments, 'student': student})
    leaves = tensors(student)
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return loss, [torch.zeros_like(x) if g is None else g for x, g in zip(leaves, gradients, strict=True)]


def test_result_is_one_finite_number_of_full_precision(case):
    loss = case(case.make(torch.float32))
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss.dtype == torch.float32
    assert case(case.make(torch.float64)).dtype == torch.float64


def test_module_equals_function(case):
    module = MODELS.build(dict(type=f'mono_distill.{case.module}', **case.options))
    assert isinstance(module, nn.Module)
    arguments = case.make(torch.float32)
    assert module(**arguments) == case(arguments)


def test_gradient_reaches_the_student_and_nothing_of_the_teacher(case):
    arguments = case.make(torch.float32)
    for side in ('student', 'teacher'):
        arguments[side] = change(arguments[side], lambda x: x.requires_grad_())
    case(arguments).backward()
    for index, x in enumerate(tensors(arguments['student'])):
        if index in case.unused:
            assert x.grad is None or not x.grad.any()
        else:
            assert x.grad.isfinite().all()
            assert x.grad.any()
    assert all(x.grad is None for x in tensors(arguments['teacher']))


@only(lambda case: not case.detached)
def test_gradient_equals_finite_differences(name):
    case = CASES[name]
    arguments = case.make(torch.float64)

    def call(*student):
        return case({**arguments, 'student': filled(arguments['student'], student)})

    student = [x.requires_grad_() for x in tensors(arguments['student'])]
    assert torch.autograd.gradcheck(call, student, eps=1e-7, fast_mode=True)


@only(lambda case: case.permutes)
def test_order_of_the_images_does_not_matter(name):
    arguments = CASES[name].make(torch.float64)

    def roll(x):
        return x.roll(1, 0)

    permuted = {key: change(inputs, roll) for key, inputs in arguments.items()}
    torch.testing.assert_close(CASES[name](permuted), CASES[name](arguments))


@only(lambda case: case.degree is not None)
def test_a_change_of_unit_scales_the_loss_by_its_degree(name):
    case = CASES[name]
    arguments = case.make(torch.float64)
    larger = {key: change(arguments[key], lambda x: 3 * x) for key in case.scaled}
    torch.testing.assert_close(case({**arguments, **larger}), 3.0**case.degree * case(arguments))


@pytest.mark.parametrize('layout', ['channels_last', 'transposed', 'expanded_storage'])
def test_memory_layout_does_not_matter(case, layout):
    change_layout = {
        'channels_last': lambda x: x.to(memory_format=torch.channels_last) if x.dim() == 4 else x,
        'transposed': lambda x: x.transpose(-2, -1).contiguous().transpose(-2, -1) if x.dim() > 1 else x,
        'expanded_storage': lambda x: torch.stack([x, x], -1)[..., 0],
    }[layout]
    arguments = case.make(torch.float32)
    loss, gradients = loss_and_gradients(case, arguments)
    student = change(arguments['student'], change_layout)
    teacher = change(arguments['teacher'], change_layout)
    other_loss, other_gradients = loss_and_gradients(case, {**arguments, 'student': student, 'teacher': teacher})
    torch.testing.assert_close(other_loss, loss)
    torch.testing.assert_close(other_gradients, gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(case, dtype):
    arguments = case.make(torch.float32)
    for side in ('student', 'teacher'):
        arguments[side] = change(arguments[side], lambda x: x.to(dtype))
    raised = {side: change(arguments[side], torch.Tensor.float) for side in ('student', 'teacher')}
    assert case(arguments) == case({**arguments, **raised})


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_does_not_touch_the_loss(case, dtype):
    arguments = case.make(torch.float32)
    with torch.autocast('cpu', dtype=dtype):
        inside = case(arguments)
    assert inside == case(arguments)
    assert inside.dtype == torch.float32


def test_inputs_are_left_as_they_are(case):
    arguments = case.make(torch.float32)
    kept = copy.deepcopy(arguments)
    case(arguments)
    for name, inputs in arguments.items():
        for ours, theirs in zip(tensors(inputs), tensors(kept[name]), strict=True):
            assert torch.equal(ours, theirs)


@only(lambda case: case.exact_zero)
def test_identical_inputs_cost_nothing(name):
    arguments = CASES[name].make(torch.float32)
    assert CASES[name]({**arguments, 'student': arguments['teacher']}) == 0


@pytest.mark.parametrize('side', ['student', 'teacher', 'both'])
@only(lambda case: case.dead)
def test_dead_channels_are_harmless(name, side):
    case = CASES[name]
    arguments = case.make(torch.float32)
    for key in ('student', 'teacher') if side == 'both' else (side,):
        for x in tensors(arguments[key]):
            x.select(case.channel_dim, 0).zero_()
    loss, gradients = loss_and_gradients(case, arguments)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_nan_of_the_student_is_not_hidden(case):
    arguments = case.make(torch.float32)
    for x in tensors(arguments['student']):
        x.fill_(float('nan'))
    assert case(arguments).isnan()


@only(lambda case: case.nan_teacher == 'shown')
def test_nan_of_the_teacher_is_not_hidden(name):
    arguments = CASES[name].make(torch.float32)
    for x in tensors(arguments['teacher']):
        x.fill_(float('nan'))
    assert CASES[name](arguments).isnan()


@only(lambda case: case.nan_teacher == 'ignored')
def test_nan_entries_of_the_teacher_teach_nothing(name):
    arguments = CASES[name].make(torch.float32)
    for x in tensors(arguments['teacher']):
        x[:, 0] = float('nan')
    loss, gradients = loss_and_gradients(CASES[name], arguments)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not any(gradient[:, 0].any() for gradient in gradients)


@pytest.mark.parametrize(
    ('name', 'kind'), [(name, kind) for name, case in CASES.items() for kind in case.without_objects]
)
def test_without_objects_the_loss_is_zero_and_connected(name, kind):
    arguments = {**CASES[name].make(torch.float32), **CASES[name].without_objects[kind]()}
    loss, gradients = loss_and_gradients(CASES[name], arguments)
    assert loss == 0
    assert loss.requires_grad
    assert not any(gradient.any() for gradient in gradients)


@only(lambda case: case.one_object is not None)
def test_one_object_is_enough(name):
    arguments = {**CASES[name].make(torch.float32), **CASES[name].one_object()}
    loss, gradients = loss_and_gradients(CASES[name], arguments)
    assert loss > 0
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_inputs_of_different_shapes_are_refused_by_name(case):
    arguments = case.make(torch.float32)
    dim = 2 if case.any_width else 1
    arguments['teacher'] = change(arguments['teacher'], lambda x: torch.cat([x, x], min(dim, x.dim() - 1)))
    with pytest.raises(MonoDistillError, match='student|teacher'):
        case(arguments)


@only(lambda case: case.any_width)
def test_relations_need_no_common_channels(name):
    case = CASES[name]
    arguments = case.make(torch.float64)

    def with_dead_channels(x):
        more = torch.zeros_like(x.narrow(case.channel_dim, 0, 2))
        return torch.cat([x, more], case.channel_dim)

    expected = loss_and_gradients(case, arguments)
    wider = {**arguments, 'teacher': change(arguments['teacher'], with_dead_channels)}
    torch.testing.assert_close(loss_and_gradients(case, wider), expected)


@only(lambda case: case.compiles)
def test_graph_is_captured_whole(name):
    case, arguments = CASES[name], CASES[name].make(torch.float32)
    # All cases share one __call__, of which only a few versions are kept.
    torch._dynamo.reset()
    compiled = torch.compile(case.__call__, fullgraph=True, backend='aot_eager')
    loss, gradients = loss_and_gradients(case, arguments)
    compiled_loss, compiled_gradients = loss_and_gradients(compiled, arguments)
    torch.testing.assert_close(compiled_loss, loss)
    torch.testing.assert_close(compiled_gradients, gradients)
