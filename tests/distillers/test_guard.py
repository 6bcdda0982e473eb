import pytest
import torch

from mono_distill.distillers.guard import NonFiniteGuard
from mono_distill.utils.errors import NonFiniteError


def test_finite_losses_pass():
    NonFiniteGuard().check({'a': torch.tensor(1.0)}, lambda: '')


def test_no_losses_pass():
    NonFiniteGuard().check({}, lambda: '')


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf')])
def test_the_bad_loss_is_named_and_the_good_one_is_not(bad):
    values = {'affinity': torch.tensor(bad), 'spearman': torch.tensor(1.0)}
    with pytest.raises(NonFiniteError, match=r'loss affinity is not finite. Samples: 000007'):
        NonFiniteGuard().check(values, lambda: 'Samples: 000007.')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_the_verdict_comes_at_the_next_step():
    guard = NonFiniteGuard()
    guard.check({'a': torch.tensor(float('nan'), device='cuda')}, lambda: 'step 1')
    with pytest.raises(NonFiniteError, match='step 1'):
        guard.check({'a': torch.tensor(1.0, device='cuda')}, lambda: 'step 2')


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_on_a_gpu_the_verdict_can_be_asked_for():
    guard = NonFiniteGuard()
    guard.check({'a': torch.tensor(float('nan'), device='cuda')}, lambda: 'step 1')
    with pytest.raises(NonFiniteError, match='step 1'):
        guard.flush()
