import torch

from mono_distill.models.view_transformers.squeeze_excite import VectorGate, VectorMLP


def test_a_gate_scales_whole_channels():
    gate = VectorGate(4)
    x, vector = torch.rand(2, 4, 3, 5) + 0.1, torch.randn(2, 4)
    share = gate(x, vector) / x
    assert torch.allclose(share, share[..., :1, :1].expand_as(share))
    assert ((share > 0) & (share < 1)).all()
    expected = gate.conv_expand(gate.conv_reduce(vector[..., None, None]).relu()).sigmoid()
    assert torch.allclose(share[..., :1, :1], expected)


def test_the_mlp_has_two_layers():
    mlp = VectorMLP(27, 8)
    rows = torch.randn(5, 27)
    hidden = (rows @ mlp.fc1.weight.T + mlp.fc1.bias).clamp(min=0)
    assert torch.allclose(mlp(rows), hidden @ mlp.fc2.weight.T + mlp.fc2.bias, atol=1e-6)
