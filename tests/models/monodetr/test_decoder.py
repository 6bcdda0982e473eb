import pytest
import torch
from torch import nn

from mono_distill.models.monodetr.decoder import DepthAwareDecoder
from mono_distill.models.monodetr.deformable_attention import Levels
from mono_distill.models.monodetr.mlp import MLP
from mono_distill.utils.errors import ShapeError

SHAPES = ((6, 8), (3, 4))


@pytest.fixture
def decoder():
    return DepthAwareDecoder(3, 16, num_heads=4, num_levels=2, num_points=2, feedforward_channels=24, dropout=0.0)


def decode(decoder, branches, points, groups=1):
    query, pos = torch.randn(2, 6, 16), torch.randn(2, 6, 16)
    memory, depth = Levels(torch.randn(2, 60, 16), SHAPES), torch.randn(2, 16, 2, 5)
    return decoder(
        query, pos, points=points, memory=memory, depth_embed=depth, bbox_branches=branches, num_groups=groups
    )


def constant_branch(values):
    branch = nn.Linear(16, 6)
    nn.init.zeros_(branch.weight)
    branch.bias.data = torch.tensor(values)
    return branch


def test_boxes_are_refined_in_logits(decoder):
    branches = [constant_branch([0.5, -0.5, -2.0, -2.0, -1.0, -1.0]), *[constant_branch([0.1] * 6)] * 2]
    points = torch.full((2, 6, 2), 0.5)
    queries = decode(decoder, branches, points)
    assert queries.hidden.shape == (3, 2, 6, 16)
    logits = torch.tensor([0.5, -0.5, -2.0, -2.0, -1.0, -1.0])
    for layer in range(3):
        expected = (logits + 0.1 * layer).sigmoid().expand(2, 6, 6)
        torch.testing.assert_close(queries.bboxes[layer], expected)


def test_later_layers_look_at_the_box_of_the_one_before(decoder, monkeypatch):
    seen = []
    for layer in decoder.layers:
        layer.cross_attn.register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs['references']), with_kwargs=True
        )
    box = torch.logit(torch.tensor([0.5, 0.5, 0.1, 0.2, 0.3, 0.05])).tolist()
    decode(decoder, [constant_branch(box), *[constant_branch([0.0] * 6)] * 2], torch.full((2, 6, 2), 0.5))
    assert [r.shape[-1] for r in seen] == [2, 4, 4]
    # Centre, then left + right and top + bottom.
    for references in seen[1:]:
        torch.testing.assert_close(references[0, 0], torch.tensor([0.5, 0.5, 0.3, 0.35]))


def test_the_gradient_of_a_box_stays_in_its_layer(decoder):
    branches = nn.ModuleList(MLP(16, 16, 6, num_layers=2) for _ in range(3))
    points = torch.full((2, 6, 2), 0.5, requires_grad=True)
    queries = decode(decoder, branches, points)
    queries.bboxes[1].sum().backward(retain_graph=True)
    assert branches[1].layers[0].weight.grad.abs().sum() > 0
    assert branches[0].layers[0].weight.grad.abs().sum() == 0
    queries.bboxes[0].sum().backward()
    assert points.grad.abs().sum() > 0


def test_queries_must_divide_into_groups(decoder):
    with pytest.raises(ShapeError, match='6 queries cannot be split into 4 groups of equal size'):
        decode(decoder, [nn.Linear(16, 6)] * 3, torch.rand(2, 6, 2), groups=4)
