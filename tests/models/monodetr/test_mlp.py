import torch

from mono_distill.models.monodetr.mlp import MLP


def test_layers_with_relu_between():
    mlp = MLP(4, 8, 2, num_layers=3)
    first, second, third = mlp.layers
    x = torch.randn(5, 4)
    torch.testing.assert_close(mlp(x), third(second(first(x).clamp(min=0)).clamp(min=0)))


def test_one_layer_is_linear():
    mlp = MLP(4, 8, 2, num_layers=1)
    assert [tuple(layer.weight.shape) for layer in mlp.layers] == [(2, 4)]
    assert (mlp(-torch.ones(1, 4)) - mlp.layers[0].bias).abs().max() > 0
