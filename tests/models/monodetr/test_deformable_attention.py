import pytest
import torch
from mmcv.ops import MultiScaleDeformableAttention

from mono_distill.models.monodetr.deformable_attention import DeformableAttention, Levels, flatten_maps

SHAPES = ((6, 8), (3, 4))


@pytest.fixture
def pair():
    options = dict(embed_dims=16, num_heads=4, num_levels=2, num_points=3, dropout=0.0, batch_first=True)
    ours, theirs = DeformableAttention(**options), MultiScaleDeformableAttention(**options)
    torch.nn.init.normal_(ours.sampling_offsets.weight)
    torch.nn.init.normal_(ours.attention_weights.weight)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize('size', [2, 4])
def test_the_numbers_are_those_of_mmcv(pair, size):
    ours, theirs = pair
    tokens, query, pos = torch.randn(2, 60, 16), torch.randn(2, 7, 16), torch.randn(2, 7, 16)
    references = torch.rand(2, 7, size)
    result = ours(query, query_pos=pos, references=references, memory=Levels(tokens, SHAPES))
    expected = theirs(
        query,
        value=tokens,
        query_pos=pos,
        reference_points=references.unsqueeze(2).expand(-1, -1, 2, -1),
        spatial_shapes=torch.tensor(SHAPES),
        level_start_index=torch.tensor([0, 48]),
    )
    torch.testing.assert_close(result, expected)


def test_references_shared_by_the_batch(pair):
    ours, _ = pair
    memory, query = Levels(torch.randn(2, 60, 16), SHAPES), torch.randn(2, 7, 16)
    references = torch.rand(1, 7, 2)
    shared = ours(query, query_pos=None, references=references, memory=memory)
    each = ours(query, query_pos=torch.zeros(7, 16), references=references.expand(2, -1, -1), memory=memory)
    torch.testing.assert_close(shared, each)


def test_autocast_does_not_reach_it(pair):
    ours, _ = pair
    memory, query, references = Levels(torch.randn(2, 60, 16), SHAPES), torch.randn(2, 7, 16), torch.rand(2, 7, 2)
    expected = ours(query, query_pos=None, references=references, memory=memory)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        result = ours(query, query_pos=None, references=references, memory=memory)
    assert torch.equal(result, expected)


def test_maps_come_back_from_their_tokens():
    maps = [torch.randn(2, 16, *shape) for shape in SHAPES]
    levels = flatten_maps(maps)
    assert levels.shapes == SHAPES
    assert torch.equal(levels.tokens[1, 8 + 3], maps[0][1, :, 1, 3])
    assert all(torch.equal(a, b) for a, b in zip(levels.maps(), maps, strict=True))
