from __future__ import annotations

import torch
from torch import nn

from mono_distill.models.dense_heads.sparse_branch import run_at_cells
from mono_distill.models.task_modules.center_geometry import gather_at


def test_it_is_the_dense_branch_read_at_the_cells():
    branch = nn.Sequential(nn.Conv2d(5, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)).double()
    feat = torch.randn(2, 5, 6, 9, dtype=torch.float64, requires_grad=True)
    # Corners, borders and a cell that is read twice.
    indices = torch.tensor([[0, 8, 45, 53], [22, 22, 4, 18]])
    dense, sparse = gather_at(branch(feat), indices), run_at_cells(branch, feat, indices)
    torch.testing.assert_close(sparse, dense)
    cotangent = torch.randn_like(dense)
    leaves = [feat, *branch.parameters()]
    for mine, theirs in zip(*(torch.autograd.grad(out, leaves, cotangent) for out in (sparse, dense)), strict=True):
        torch.testing.assert_close(mine, theirs)
