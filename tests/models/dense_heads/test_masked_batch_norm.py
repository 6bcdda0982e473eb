from __future__ import annotations

import pytest
import torch
from torch import nn

from mono_distill.models.dense_heads.masked_batch_norm import MaskedBatchNorm2d


@pytest.fixture
def norms():
    """Ours and PyTorch's, with the same parameters and running statistics."""
    plain = nn.BatchNorm2d(3)
    nn.init.normal_(plain.weight)
    nn.init.normal_(plain.bias)
    plain.running_mean.normal_()
    masked = MaskedBatchNorm2d(3)
    masked.load_state_dict(plain.state_dict())
    return masked, plain


VALID = torch.tensor([True, False, True, True, False])


def test_it_is_batch_norm_of_the_valid_entries(norms):
    masked, plain = norms
    values = torch.randn(5, 3, 2, 4, requires_grad=True)
    cotangent = torch.randn(3, 3, 2, 4)
    ours = masked(values, VALID)[VALID]
    expected = plain(values[VALID])
    torch.testing.assert_close(ours, expected)
    (mine,) = torch.autograd.grad(ours, values, cotangent, retain_graph=True)
    (theirs,) = torch.autograd.grad(expected, values, cotangent)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(masked.state_dict()[name], value, msg=name)


def test_evaluation_uses_the_running_statistics(norms):
    masked, plain = (norm.eval() for norm in norms)
    values = torch.randn(5, 3, 2, 4)
    torch.testing.assert_close(masked(values, VALID), plain(values))


def test_without_valid_entries_the_running_statistics_normalise_and_stay(norms):
    masked, plain = norms
    values = torch.randn(2, 3, 2, 4, requires_grad=True)
    result = masked(values, torch.tensor([False, False]))
    torch.testing.assert_close(result, plain.eval()(values))
    for name, value in plain.state_dict().items():
        assert torch.equal(masked.state_dict()[name], value), name
    result.sum().backward()
    assert values.grad.isfinite().all()


def test_half_precision_is_normalised_in_single():
    norm = MaskedBatchNorm2d(3)
    assert norm(torch.randn(2, 3, 2, 2, dtype=torch.bfloat16), torch.tensor([True, True])).dtype == torch.float32


def test_conversion_to_synchronised_batch_norm_leaves_it_alone():
    model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(MaskedBatchNorm2d(3), nn.BatchNorm2d(3)))
    assert [type(module) for module in model] == [MaskedBatchNorm2d, nn.SyncBatchNorm]
