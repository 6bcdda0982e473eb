"""What every distillation loss promises, tested alike for all of them.

A new loss joins by an entry in ``CASES``.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import nn

from mono_distill import losses
from mono_distill.registry import MODELS
from mono_distill.utils.errors import MonoDistillError

BATCH = 3


def features(dtype=torch.float32):
    """Two levels of an image of 32 x 48 pixels, at strides 8 and 16."""
    return [torch.randn(BATCH, 3, 4, 6, dtype=dtype), torch.randn(BATCH, 4, 2, 3, dtype=dtype)]


def head(dtype=torch.float32):
    """Output of a MonoDLE-type head for an image of 24 x 32 pixels."""
    channels = dict(offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
    return {name: torch.randn(BATCH, c, 6, 8, dtype=dtype) for name, c in channels.items()}


def some_objects():
    """Up to two objects per image; the last image has none."""
    none = [0.0] * 4
    boxes = [[[2.0, 2.0, 18.0, 18.0], [12.0, 8.0, 30.0, 22.0]], [[4.0, 4.0, 22.0, 20.0], none], [none, none]]
    return dict(
        bboxes=torch.tensor(boxes),
        indices=torch.tensor([[18, 29], [27, 0], [0, 0]]),
        mask_2d=torch.tensor([[True, True], [True, False], [False, False]]),
        heading_bin=torch.tensor([[3, 11], [5, 0], [0, 0]]),
    )


@dataclass(frozen=True)
class Case:
    """A loss, how to call it and what it can do.

    Attributes:
        function: The pure function.
        module: Name of the registered class.
        inputs: Makes the input of the student, and alike of the teacher, for a dtype.
        options: Keywords of function and class.
        has_targets: Whether the loss takes ``targets``.
        compiles: Whether ``torch.compile(fullgraph=True)`` captures it.
        exact_zero: Whether identical inputs cost exactly nothing (a correlation is 1 up to rounding or softness only).
    """

    function: Callable[..., torch.Tensor]
    module: str
    inputs: Callable[..., object] = features
    options: dict = field(default_factory=dict)
    has_targets: bool = False
    compiles: bool = True
    exact_zero: bool = True

    def make(self, dtype=torch.float32):
        """Keyword arguments of a call."""
        arguments = dict(student=self.inputs(dtype), teacher=self.inputs(dtype))
        return {**arguments, 'targets': some_objects()} if self.has_targets else arguments

    def __call__(self, arguments):
        return self.function(**arguments, **self.options)


CASES = {
    'spearman_rank': Case(losses.spearman_loss, 'SpearmanLoss', compiles=False, exact_zero=False),
    'spearman_rank_loose': Case(
        losses.spearman_loss, 'SpearmanLoss', options=dict(eps=5.0), compiles=False, exact_zero=False
    ),
    'spearman_released': Case(
        losses.spearman_loss, 'SpearmanLoss', options=dict(form='released'), exact_zero=False
    ),
    'spearman_soft_rank_teacher': Case(
        losses.spearman_loss,
        'SpearmanLoss',
        options=dict(form='soft_rank_teacher', eps=0.01),
        compiles=False,
        exact_zero=False,
    ),
    'spearman_soft_rank_student': Case(
        losses.spearman_loss,
        'SpearmanLoss',
        options=dict(form='soft_rank_student', eps=0.1),
        compiles=False,
        exact_zero=False,
    ),
    'scene_affinity': Case(losses.scene_affinity_loss, 'SceneAffinityLoss'),
    'local_affinity': Case(losses.local_affinity_loss, 'LocalAffinityLoss', options=dict(ref_batch=4)),
    'foreground_l2': Case(
        losses.foreground_l2_loss, 'ForegroundL2Loss', options=dict(strides=(8, 16)), has_targets=True
    ),
    'monodle_response': Case(losses.monodle_response_loss, 'MonoDLEResponseLoss', inputs=head, has_targets=True),
    'monodle_response_official': Case(
        losses.monodle_response_loss,
        'MonoDLEResponseLoss',
        inputs=head,
        options=dict(heading_slots='all', include_origin_pixel=True),
        has_targets=True,
    ),
}  # fmt: skip


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def tensors(inputs):
    """The tensors of a map, a sequence of maps or a dict."""
    return list(inputs.values()) if isinstance(inputs, dict) else list(inputs)


def change(inputs, fn):
    """Apply ``fn`` to every tensor, keeping the container."""
    if isinstance(inputs, dict):
        return {name: fn(value) for name, value in inputs.items()}
    return [fn(value) for value in inputs]


def loss_and_gradients(call, arguments):
    student = change(arguments['student'], lambda x: x.detach().clone().requires_grad_())
    loss = call({**arguments, 'student': student})
    return loss, torch.autograd.grad(loss, tensors(student))


def test_result_is_one_finite_number_of_full_precision(case):
    loss = case(case.make())
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss.dtype == torch.float32
    assert case(case.make(torch.float64)).dtype == torch.float64


def test_module_equals_function(case):
    module = MODELS.build(dict(type=f'mono_distill.{case.module}', **case.options))
    assert isinstance(module, nn.Module)
    arguments = case.make()
    assert module(**arguments) == case(arguments)


def test_gradient_reaches_every_input_of_the_student_and_none_of_the_teacher(case):
    arguments = case.make()
    arguments['teacher'] = change(arguments['teacher'], lambda x: x.requires_grad_())
    arguments['student'] = change(arguments['student'], lambda x: x.requires_grad_())
    case(arguments).backward()
    assert all(x.grad is not None and x.grad.isfinite().all() and x.grad.any() for x in tensors(arguments['student']))
    assert all(x.grad is None for x in tensors(arguments['teacher']))


def test_gradient_equals_finite_differences(case):
    arguments = case.make(torch.float64)
    names = list(arguments['student']) if isinstance(arguments['student'], dict) else None

    def call(*student):
        return case({**arguments, 'student': dict(zip(names, student, strict=True)) if names else student})

    student = [x.requires_grad_() for x in tensors(arguments['student'])]
    assert torch.autograd.gradcheck(call, student, eps=1e-7, fast_mode=True)


def test_order_of_the_images_does_not_matter(case):
    arguments = case.make(torch.float64)
    order = torch.tensor([2, 0, 1])
    permuted = {name: change(inputs, lambda x: x[order]) for name, inputs in arguments.items()}
    torch.testing.assert_close(case(permuted), case(arguments))


@pytest.mark.parametrize('layout', ['channels_last', 'transposed', 'expanded_storage'])
def test_memory_layout_does_not_matter(case, layout):
    change_layout = {
        'channels_last': lambda x: x.to(memory_format=torch.channels_last),
        'transposed': lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
        'expanded_storage': lambda x: torch.cat([x, x], 1)[:, : x.shape[1]],
    }[layout]
    arguments = case.make()
    loss, gradients = loss_and_gradients(case, arguments)
    student = change(arguments['student'], change_layout)
    teacher = change(arguments['teacher'], change_layout)
    other_loss, other_gradients = loss_and_gradients(case, {**arguments, 'student': student, 'teacher': teacher})
    torch.testing.assert_close(other_loss, loss)
    torch.testing.assert_close(other_gradients, gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(case, dtype):
    arguments = case.make()
    for side in ('student', 'teacher'):
        arguments[side] = change(arguments[side], lambda x: x.to(dtype))
    raised = {side: change(arguments[side], torch.Tensor.float) for side in ('student', 'teacher')}
    assert case(arguments) == case({**arguments, **raised})


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_does_not_touch_the_loss(case, dtype):
    arguments = case.make()
    with torch.autocast('cpu', dtype=dtype):
        assert case(arguments) == case.function(**arguments, **case.options)
        inside = case(arguments)
    assert inside == case(arguments)
    assert inside.dtype == torch.float32


def test_inputs_are_left_as_they_are(case):
    arguments = case.make()
    kept = copy.deepcopy(arguments)
    case(arguments)
    for name, inputs in arguments.items():
        for ours, theirs in zip(tensors(inputs), tensors(kept[name]), strict=True):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case.exact_zero])
def test_identical_inputs_cost_nothing(name):
    arguments = CASES[name].make()
    assert CASES[name]({**arguments, 'student': arguments['teacher']}) == 0


@pytest.mark.parametrize('side', ['student', 'teacher', 'both'])
def test_dead_channels_are_harmless(case, side):
    arguments = case.make()
    for name in ('student', 'teacher') if side == 'both' else (side,):
        for x in tensors(arguments[name]):
            x[:, 0] = 0
    loss, gradients = loss_and_gradients(case, arguments)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_nan_of_the_student_is_not_hidden(case):
    arguments = case.make()
    for x in tensors(arguments['student']):
        x.fill_(float('nan'))
    assert case(arguments).isnan()


def objects_nowhere():
    targets = some_objects()
    return {name: torch.zeros_like(value) for name, value in targets.items()}


def objects_outside():
    targets = some_objects()
    targets['bboxes'] = torch.tensor([500.0, 500.0, 530.0, 530.0]).expand(BATCH, 2, 4)
    targets['mask_2d'] = torch.zeros(BATCH, 2, dtype=torch.bool)
    return targets


def objects_without_slots():
    return {name: value[:, :0] for name, value in some_objects().items()}


@pytest.mark.parametrize('make_targets', [objects_nowhere, objects_outside, objects_without_slots])
@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case.has_targets and 'official' not in name])
def test_without_objects_the_loss_is_zero_and_connected(name, make_targets):
    arguments = {**CASES[name].make(), 'targets': make_targets()}
    loss, gradients = loss_and_gradients(CASES[name], arguments)
    assert loss == 0
    assert loss.requires_grad
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case.has_targets])
def test_one_object_is_enough(name):
    targets = {key: value[1:2, :1].expand(BATCH, *[-1] * (value.dim() - 1)) for key, value in some_objects().items()}
    loss, gradients = loss_and_gradients(CASES[name], {**CASES[name].make(), 'targets': targets})
    assert loss > 0
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_inputs_of_different_shapes_are_refused_by_name(case):
    arguments = case.make()
    arguments['teacher'] = change(arguments['teacher'], lambda x: torch.cat([x, x], 1))
    with pytest.raises(MonoDistillError, match='student|teacher'):
        case(arguments)


@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case.compiles])
def test_graph_is_captured_whole(name):
    case, arguments = CASES[name], CASES[name].make()
    compiled = torch.compile(case.__call__, fullgraph=True, backend='aot_eager')
    loss, gradients = loss_and_gradients(case, arguments)
    compiled_loss, compiled_gradients = loss_and_gradients(compiled, arguments)
    torch.testing.assert_close(compiled_loss, loss)
    torch.testing.assert_close(compiled_gradients, gradients)
