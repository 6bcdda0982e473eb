"""Two gloo processes give the gradients of one process on the same global batch."""

import torch
from gloo import run_ranks
from toy import train_losses
from toy_ddp import model, work


def test_two_processes_equal_one_on_the_same_global_batch(tmp_path):
    run_ranks(work, tmp_path, tmp_path / 'grads.pth')
    parallel = torch.load(tmp_path / 'grads.pth', weights_only=True)
    single = model()
    losses = train_losses(single, size=4)
    sum(value for key, value in losses.items() if 'loss' in key).backward()
    for name, parameter in single.named_parameters():
        assert torch.allclose(parallel[name], parameter.grad, rtol=1e-5, atol=1e-7), name
