"""Every loss on a GPU: the value and the gradient of the CPU, and the host never waits."""

import pytest
import torch
from cuda.gpu import needs_gpu, to_gpu, without_waiting
from loss_cases import CASES
from loss_cases.case import change, tensors

pytestmark = needs_gpu


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def with_gradients(case, arguments):
    """The loss and its gradients for the student; zeros where it does not depend on an entry."""
    student = change(arguments['student'], lambda x: x.detach().clone().requires_grad_())
    loss = case({**arguments, 'student': student})
    gradients = torch.autograd.grad(loss, tensors(student), allow_unused=True)
    return loss, [torch.zeros_like(x) if g is None else g for x, g in zip(tensors(student), gradients, strict=True)]


def test_value_and_gradients_are_those_of_the_cpu(case):
    arguments = case.make(torch.float64)
    loss, gradients = with_gradients(case, arguments)
    there, gradients_there = with_gradients(case, {name: change(x, to_gpu) for name, x in arguments.items()})
    assert there.is_cuda
    torch.testing.assert_close(there.cpu(), loss, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(gradients_there, gradients, strict=True):
        torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-7, atol=1e-10)


def test_the_host_does_not_wait(case):
    arguments = {name: change(x, to_gpu) for name, x in case.make(torch.float32).items()}
    with_gradients(case, arguments)
    with without_waiting():
        with_gradients(case, arguments)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_does_not_touch_the_loss(case, dtype):
    arguments = {name: change(x, to_gpu) for name, x in case.make(torch.float32).items()}
    with torch.autocast('cuda', dtype=dtype):
        inside = case(arguments)
    assert inside.dtype == torch.float32
    torch.testing.assert_close(inside, case(arguments), rtol=1e-5, atol=1e-6)


def test_half_precision_inputs_give_a_finite_loss_and_gradient(case):
    arguments = {name: change(x, to_gpu) for name, x in case.make(torch.float32).items()}
    for side in ('student', 'teacher'):
        arguments[side] = change(arguments[side], torch.Tensor.half)
    loss, gradients = with_gradients(case, arguments)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
