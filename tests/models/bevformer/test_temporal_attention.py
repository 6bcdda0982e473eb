"""Tests of mono_distill.models.bevformer.temporal_attention."""

import math

import torch
from torch.nn import functional as F

from mono_distill.models.bevformer.temporal_attention import TemporalSelfAttention

SIZE = (3, 4)
HEADS, POINTS, CHANNELS = 2, 3, 8


def attention(seed=0):
    torch.manual_seed(seed)
    module = TemporalSelfAttention(CHANNELS, HEADS, num_points=POINTS).eval()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module


def bilinear(image, x, y):
    """Value of a map (C, H, W) at a position in cells, zero outside."""
    total = torch.zeros(image.shape[0])
    for column in (math.floor(x), math.floor(x) + 1):
        for row in (math.floor(y), math.floor(y) + 1):
            if 0 <= column < image.shape[2] and 0 <= row < image.shape[1]:
                total += (1 - abs(x - column)) * (1 - abs(y - row)) * image[:, row, column]
    return total


def brute_force(module, query, query_pos, prev):
    """The formula in loops over cells, views, heads and samples, for one image."""
    height, width = SIZE
    out = torch.zeros_like(query)
    for p in range(height * width):
        both = torch.cat([prev[p], query[p] + query_pos[p]])
        offsets = module.sampling_offsets(both).view(HEADS, 2, POINTS, 2)
        weights = module.attention_weights(both).view(HEADS, 2, POINTS).softmax(-1)
        heads = []
        for head in range(HEADS):
            part = slice(head * 4, head * 4 + 4)
            total = torch.zeros(4)
            for view, tokens in enumerate((prev, query)):
                image = module.value_proj(tokens)[:, part].T.view(4, height, width)
                for k in range(POINTS):
                    dx, dy = offsets[head, view, k].tolist()
                    total += weights[head, view, k] * bilinear(image, p % width + dx, p // width + dy) / 2
            heads.append(total)
        out[p] = query[p] + module.output_proj(torch.cat(heads))
    return out


def tokens():
    return torch.randn(2, 12, CHANNELS), torch.randn(1, 12, CHANNELS), torch.randn(2, 12, CHANNELS)


@torch.no_grad()
def test_output_is_the_sum_over_both_views():
    module = attention()
    query, query_pos, prev = tokens()
    result = module(query, query_pos, prev, SIZE)
    for image in range(2):
        expected = brute_force(module, query[image], query_pos[0], prev[image])
        torch.testing.assert_close(result[image], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_without_a_frame_before_the_queries_take_its_place():
    module = attention()
    query, query_pos, _ = tokens()
    torch.testing.assert_close(module(query, query_pos, None, SIZE), module(query, query_pos, query, SIZE))


def test_gradients_reach_queries_history_and_all_parameters():
    module = attention()
    query, query_pos, prev = (value.requires_grad_() for value in tokens())
    module(query, query_pos, prev, SIZE).square().sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in (query, query_pos, prev, *module.parameters()))


def test_first_samples_of_a_fresh_module_are_whole_cells_away():
    module = TemporalSelfAttention(CHANNELS, 4, num_points=2, dropout=0.0)
    with torch.no_grad():
        for layer in (module.value_proj, module.output_proj):
            layer.weight.copy_(torch.eye(CHANNELS))
    query = torch.zeros(1, 12, CHANNELS)
    prev = torch.randn(1, 12, CHANNELS)
    out = module(query, query, prev, SIZE)[0].view(*SIZE, CHANNELS)
    # Head 0 looks to the right, in both views with weight 1/2 x 1/2 each sample; the current view is zero.
    grid = F.pad(prev[0].view(*SIZE, CHANNELS), (0, 0, 0, 2))
    expected = (grid[:, 1:5] + grid[:, 2:6])[..., :2] / 4
    torch.testing.assert_close(out[..., :2], expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_raised():
    query, query_pos, prev = tokens()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert attention()(query.bfloat16(), query_pos, prev, SIZE).dtype == torch.float32
