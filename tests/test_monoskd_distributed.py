"""Two gloo processes give MonoSKD the gradients of one process on the same global batch."""

import pytest
import torch
from gloo import run_ranks
from kitti_files import CAR, write_folder, write_frame, write_split
from monoskd_rank import backward, build, work

from mono_distill.cli.main import main

SECOND_CAR = 'Car 0.00 0 -0.50 20.00 12.00 60.00 40.00 1.50 1.60 4.00 -3.00 1.60 11.00 -0.80'


@pytest.mark.slow
def test_two_processes_equal_one_on_the_same_global_batch(tmp_path):
    root = write_folder(tmp_path / 'kitti', training=4)
    # Ranks see different numbers of objects: one frame has none, one has two.
    write_frame(root, '000000', label='')
    write_frame(root, '000003', label=f'{CAR}\n{SECOND_CAR}\n')
    for split in ('train', 'val', 'trainval'):
        write_split(root, split, *(f'{number:06d}' for number in range(4)))
    assert main(['prepare', 'kitti', '--root', str(root), '--workers', '1']) == 0
    run_ranks(work, tmp_path, root, tmp_path / 'grads.pth')
    parallel = torch.load(tmp_path / 'grads.pth', weights_only=True)
    model, frames = build(root)
    backward(model, model.data_preprocessor, frames)
    largest = max(p.grad.abs().max() for p in model.parameters() if p.grad is not None)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parallel[name] is not None, name
            torch.testing.assert_close(
                parallel[name], parameter.grad, rtol=1e-3, atol=1e-6 * largest.item(), msg=lambda m, n=name: f'{n}: {m}'
            )
