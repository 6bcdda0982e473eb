"""Tests of mono_distill.losses.unit_vectors."""

import torch

from mono_distill.losses.unit_vectors import unit_vectors


def test_equals_torch_for_vectors_with_a_direction():
    vectors = torch.randn(2, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(unit_vectors(vectors), torch.nn.functional.normalize(vectors, dim=-1))


def test_a_zero_vector_stays_and_its_gradient_is_of_ordinary_size():
    vectors = torch.zeros(1, 4, requires_grad=True)
    result = unit_vectors(vectors)
    result.sum().backward()
    assert result.tolist() == [[0.0] * 4]
    assert vectors.grad.tolist() == [[1.0] * 4]


def test_gradient_is_exact():
    vectors = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit_vectors, [vectors])


def test_nan_is_kept():
    assert unit_vectors(torch.tensor([[float('nan'), 1.0]])).isnan().all()
