"""Tests of mono_distill.models.bevformer.decoder."""

import torch
from torch import nn

from mono_distill.models.bevformer.decoder import BEVQueryDecoder
from mono_distill.models.monodetr.deformable_attention import Levels
from mono_distill.models.monodetr.mlp import MLP
from mono_distill.ops.point_sampler import sample_bev

SIZE = (5, 6)


def decoder(layers=3):
    torch.manual_seed(0)
    return BEVQueryDecoder(
        16, num_queries=7, num_layers=layers, num_heads=2, feedforward_channels=32, dropout=0.0
    ).eval()


def branches(layers=3):
    return nn.ModuleList(MLP(16, 16, 10, num_layers=3) for _ in range(layers))


def bev(batch=2):
    return Levels(torch.randn(batch, 30, 16), (SIZE,))


@torch.no_grad()
def test_outputs_have_their_shapes():
    objects = decoder()(bev(), branches())
    assert objects.hidden.shape == (3, 2, 7, 16)
    assert objects.codes.shape == (3, 2, 7, 10)
    centres = objects.codes[..., [0, 1, 4]]
    assert (centres > 0).all()
    assert (centres < 1).all()


@torch.no_grad()
def test_each_layer_moves_the_centre_of_the_one_before():
    module, heads = decoder(), branches()
    objects = module(bev(), heads)
    query_pos = module.query_embedding.weight[:, :16]
    before = module.reference_points(query_pos).sigmoid().expand(2, -1, -1)
    for layer in range(3):
        change = heads[layer](objects.hidden[layer])
        moved = (torch.logit(before, eps=1e-5) + change[..., [0, 1, 4]]).sigmoid()
        torch.testing.assert_close(objects.codes[layer][..., [0, 1, 4]], moved)
        rest = [2, 3, 5, 6, 7, 8, 9]
        torch.testing.assert_close(objects.codes[layer][..., rest], change[..., rest])
        before = moved


@torch.no_grad()
def test_queries_look_at_their_reference_point():
    """A bright cell changes the queries whose reference point lies beside it, and nothing else does."""
    module = decoder(1)
    module.layers[0].cross_attn.sampling_offsets.bias.zero_()
    module.reference_points.weight.zero_()
    module.reference_points.bias.copy_(torch.tensor([0.6 * 2, -0.5, 0.0]))
    x, y = module.reference_points.bias.sigmoid()[:2]
    column, row = int(x * SIZE[1]), int(y * SIZE[0])
    dark = Levels(torch.zeros(1, 30, 16), (SIZE,))
    plain = module(dark, branches(1)).hidden
    for cell in range(30):
        tokens = torch.zeros(1, 30, 16)
        tokens[0, cell] = 1.0
        changed = not torch.allclose(module(Levels(tokens, (SIZE,)), branches(1)).hidden, plain, atol=1e-6)
        beside = abs(cell % 6 - (x * 6 - 0.5)) < 1 and abs(cell // 6 - (y * 5 - 0.5)) < 1
        assert changed == bool(beside)
    assert (column, row) == (4, 1)


@torch.no_grad()
def test_queries_read_the_map_where_points_in_metres_are_sampled():
    layer = decoder(1).layers[0].cross_attn
    layer.sampling_offsets.bias.zero_()
    for projection in (layer.value_proj, layer.output_proj):
        projection.weight.copy_(torch.eye(16))
    tokens, shares, query = torch.randn(2, 30, 16), torch.rand(2, 7, 2), torch.zeros(2, 7, 16)
    read = layer(query, query_pos=None, references=shares, memory=Levels(tokens, (SIZE,)))
    ranges = dict(x_range=(-51.2, 51.2), y_range=(-30.0, 10.0))
    points = shares * torch.tensor([102.4, 40.0]) - torch.tensor([51.2, 30.0])
    expected = sample_bev(tokens.transpose(1, 2).unflatten(2, SIZE), points, **ranges)
    torch.testing.assert_close(read, expected, rtol=1e-4, atol=1e-4)


def test_gradients_of_boxes_stay_in_their_layer():
    module, heads = decoder(), branches()
    objects = module(bev(), heads)
    objects.codes[2].sum().backward()
    assert all(parameter.grad.abs().sum() == 0 for parameter in heads[:2].parameters())
    assert module.reference_points.weight.grad.abs().sum() == 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in heads[2].parameters())


def test_every_parameter_gets_a_gradient():
    module, heads = decoder(), branches()
    objects = module(bev(), heads)
    (objects.codes.square().sum() + objects.hidden.pow(3).sum()).backward()
    assert [name for name, parameter in module.named_parameters() if not parameter.grad.abs().sum() > 0] == []
