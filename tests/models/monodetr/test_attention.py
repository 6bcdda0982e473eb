import pytest
import torch
from torch import nn

from mono_distill.models.monodetr.attention import Attention


@pytest.fixture
def inputs():
    return torch.randn(2, 5, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 16)


def test_numbers_are_those_of_torch(inputs):
    ours, theirs = Attention(16, 4), nn.MultiheadAttention(16, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(*inputs), theirs(*inputs)[0])


def test_weights_are_dropped_in_training_only(inputs):
    attention = Attention(16, 4, dropout=0.5)
    assert not torch.equal(attention(*inputs), attention(*inputs))
    attention.eval()
    assert torch.equal(attention(*inputs), attention(*inputs))


def test_dropping_weights_keeps_the_mean(inputs):
    attention = Attention(16, 4, dropout=0.2)
    expected = attention.eval()(*inputs)
    attention.train()
    mean = torch.stack([attention(*inputs) for _ in range(3000)]).mean(0)
    torch.testing.assert_close(mean, expected, rtol=0.1, atol=0.02)


def test_autocast():
    attention = Attention(16, 4, dropout=0.2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        out = attention(*[torch.randn(2, 5, 16)] * 3)
    assert out.dtype == torch.bfloat16
