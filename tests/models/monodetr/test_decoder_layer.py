import pytest
import torch
from torch import nn

from mono_distill.models.monodetr.decoder_layer import DepthAwareDecoderLayer
from mono_distill.models.monodetr.deformable_attention import Levels

SHAPES = ((6, 8), (3, 4))
GROUPS, PER_GROUP = 3, 5


def layer(**options):
    return DepthAwareDecoderLayer(
        16, 4, num_levels=2, num_points=2, feedforward_channels=24, dropout=0.0, **options
    ).double()


@pytest.fixture
def inputs():
    queries = GROUPS * PER_GROUP
    query, pos = torch.randn(2, queries, 16).double(), torch.randn(2, queries, 16).double()
    memory = Levels(torch.randn(2, 60, 16).double(), SHAPES)
    return query, pos, dict(
        depth_tokens=torch.randn(2, 10, 16).double(), memory=memory, references=torch.rand(2, queries, 2).double()
    )  # fmt: skip


def reference(module, query, pos, depth_tokens, memory, references):
    """The layer as the paper draws it: one attention over all queries with a mask that separates the groups."""
    attended = nn.MultiheadAttention.forward(module.cross_attn_depth, query, depth_tokens, depth_tokens)[0]
    query = module.norms[0](query + attended)
    x = query + pos
    q = module.sa_qcontent_proj(x) + module.sa_qpos_proj(x) if module.cond_self_attn else x
    k = module.sa_kcontent_proj(x) + module.sa_kpos_proj(x) if module.cond_self_attn else x
    group = torch.arange(query.shape[1]) // PER_GROUP
    others = group.unsqueeze(0) != group.unsqueeze(1)
    attended = nn.MultiheadAttention.forward(module.self_attn, q, k, query, attn_mask=others)[0]
    query = module.norms[1](query + attended)
    query = module.norms[2](module.cross_attn(query, query_pos=pos, references=references, memory=memory))
    hidden = module.ffn.layers[0](query)
    return module.norms[3](query + module.ffn.layers[1](hidden))


@pytest.mark.parametrize('cond_self_attn', [True, False])
def test_groups_are_a_block_diagonal_mask(inputs, cond_self_attn):
    module = layer(cond_self_attn=cond_self_attn)
    query, pos, further = inputs
    result = module(query, pos, num_groups=GROUPS, **further)
    torch.testing.assert_close(result, reference(module, query, pos, **further))


def test_groups_do_not_see_each_other(inputs):
    module = layer()
    query, pos, further = inputs
    before = module(query, pos, num_groups=GROUPS, **further)
    changed = query.clone()
    changed[:, PER_GROUP:] = 7.0
    after = module(changed, pos, num_groups=GROUPS, **further)
    torch.testing.assert_close(after[:, :PER_GROUP], before[:, :PER_GROUP])


def test_without_conditional_attention_there_are_no_projections():
    names = {name.split('.')[0] for name, _ in layer(cond_self_attn=False).named_parameters()}
    assert names == {'cross_attn_depth', 'self_attn', 'cross_attn', 'ffn', 'norms'}


def test_every_parameter_receives_a_gradient(inputs):
    module = layer()
    query, pos, further = inputs
    module(query, pos, num_groups=GROUPS, **further).square().sum().backward()
    assert [name for name, p in module.named_parameters() if p.grad is None] == []
