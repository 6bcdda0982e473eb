"""STXD's losses on two processes and on one, with the same global batch."""

import pytest
import stxd_rank
import torch
from gloo import run_ranks


@pytest.fixture(scope='module')
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('stxd')
    run_ranks(stxd_rank.work, folder, folder / 'results.pt')
    return torch.load(folder / 'results.pt')


@pytest.mark.parametrize('name', stxd_rank.losses(**stxd_rank.inputs()))
def test_losses_and_gradients_do_not_depend_on_the_number_of_processes(two_processes, name):
    expected = stxd_rank.losses(**stxd_rank.inputs())[name]
    assert expected[0] > 0
    torch.testing.assert_close(two_processes[name], expected, rtol=1e-6, atol=1e-9)
