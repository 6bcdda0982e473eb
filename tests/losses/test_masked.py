from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from mono_distill.losses.masked import as_float32, global_avg_factors, masked_mean, mean_over_ranks, require_shape
from mono_distill.utils.errors import ShapeError


def test_mean_runs_over_the_mask_only():
    values = torch.tensor([1.0, 5.0, float('nan'), float('inf')], requires_grad=True)
    loss = masked_mean(values, torch.tensor([True, True, False, False]))
    loss.backward()
    assert loss.item() == 3.0
    assert values.grad.tolist() == [0.5, 0.5, 0.0, 0.0]


def test_without_a_mask_all_entries_count():
    assert masked_mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).item() == 3.0


def test_an_empty_mask_gives_zero_with_zero_gradient():
    values = torch.ones(3, requires_grad=True)
    loss = masked_mean(values, torch.zeros(3, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert values.grad.tolist() == [0.0, 0.0, 0.0]


def test_a_given_divisor_replaces_the_count():
    assert masked_mean(torch.tensor([4.0, 4.0]), avg_factor=4).item() == 2.0


def test_only_half_precision_is_raised():
    assert [as_float32(torch.ones(1, dtype=d)).dtype for d in (torch.float16, torch.bfloat16)] == [torch.float32] * 2
    assert as_float32(torch.ones(1, dtype=torch.float64)).dtype == torch.float64


def test_a_wrong_shape_is_named():
    with pytest.raises(ShapeError, match=r'some_loss: target has shape \(2,\), expected \(3,\)'):
        require_shape(torch.zeros(2), (3,), loss='some_loss', name='target')


def test_one_process_keeps_its_counts_and_takes_one_for_none():
    assert global_avg_factors(torch.tensor([7, 0])).tolist() == [7.0, 1.0]


def test_mean_over_one_rank_is_a_detached_copy():
    values = torch.ones(2, requires_grad=True)
    mean = mean_over_ranks(values)
    assert mean.tolist() == [1.0, 1.0]
    assert not mean.requires_grad
    assert mean.data_ptr() != values.data_ptr()


RANK = """
import sys
import torch
from torch import distributed
from mono_distill.losses.masked import global_avg_factors

store, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group('gloo', init_method=f'file://{store}', rank=rank, world_size=2)
print(global_avg_factors(torch.tensor([[2, 0, 0], [6, 1, 0]][rank])).tolist())
distributed.destroy_process_group()
"""


def test_ranks_divide_by_their_mean_count_and_by_half_if_nothing_counts(tmp_path):
    command = [sys.executable, '-c', RANK, str(tmp_path / 'store')]
    ranks = [subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True) for rank in range(2)]
    assert [rank.communicate(timeout=60)[0].strip() for rank in ranks] == ['[4.0, 0.5, 0.5]'] * 2
