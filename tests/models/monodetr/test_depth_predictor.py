import pytest
import torch
from torch.nn import functional

from mono_distill.models.monodetr.depth_predictor import MonoDETRDepthPredictor
from mono_distill.utils.errors import ShapeError


@pytest.fixture
def predictor():
    return MonoDETRDepthPredictor(32, num_heads=4, feedforward_channels=16, dropout=0.0)


def maps():
    return [torch.randn(2, 32, 12, 20), torch.randn(2, 32, 6, 10), torch.randn(2, 32, 3, 5)]


def test_bin_values_are_those_of_linearly_increasing_bins(predictor):
    delta = 2 * (60 - 1e-3) / (80 * 81)
    expected = [(i + 0.5) ** 2 * delta / 2 - delta / 8 + 1e-3 for i in range(80)] + [60.0]
    assert predictor.depth_bin_values.tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_one_class_per_cell_and_their_mean(predictor):
    prediction = predictor(maps(), torch.randn(1, 60, 32))
    assert prediction.logits.shape == (2, 81, 6, 10)
    assert prediction.embed.shape == (2, 32, 6, 10)
    expected = (prediction.logits.softmax(1) * predictor.depth_bin_values.view(1, -1, 1, 1)).sum(1)
    torch.testing.assert_close(prediction.weighted_depth, expected)


def test_the_coarse_map_may_be_projected_before_it_is_enlarged(predictor):
    fine, middle, coarse = maps()
    enlarged = functional.interpolate(coarse, size=middle.shape[2:], mode='bilinear', align_corners=False)
    expected = (predictor.downsample(fine) + predictor.proj(middle) + predictor.upsample(enlarged)) / 3
    torch.testing.assert_close(predictor._fused([fine, middle, coarse]), expected, rtol=1e-4, atol=1e-5)


def test_depths_between_whole_metres_are_interpolated(predictor):
    table = predictor.depth_pos_embed.weight
    depth = torch.tensor([[[0.0, 2.25, 60.0, 75.0, -1.0]]])
    result = predictor.embed_depth(depth)[0, :, 0].T
    expected = torch.stack([table[0], 0.75 * table[2] + 0.25 * table[3], table[60], table[60], table[0]])
    torch.testing.assert_close(result, expected)


def test_a_known_depth_takes_the_place_of_the_mean(predictor):
    levels, pos = maps(), torch.randn(1, 60, 32)
    predicted = predictor(levels, pos)
    known = predictor(levels, pos, torch.full((2, 6, 10), 12.0))
    assert torch.equal(known.logits, predicted.logits)
    assert (known.weighted_depth == 12).all()
    difference = known.embed - predicted.embed
    expected = predictor.embed_depth(known.weighted_depth) - predictor.embed_depth(predicted.weighted_depth)
    torch.testing.assert_close(difference, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ShapeError, match=r'known_depth has shape \(2, 3, 5\), expected \(2, 6, 10\)'):
        predictor(levels, pos, torch.zeros(2, 3, 5))


def test_the_mean_depth_does_not_suffer_from_autocast(predictor):
    logits = torch.zeros(1, 81, 1, 1)
    logits[:, 79:] = 20.0
    with torch.autocast('cpu', dtype=torch.bfloat16):
        depth = predictor._mean_depth(logits.bfloat16())
    values = predictor.depth_bin_values
    assert depth.item() == pytest.approx((values[79] + values[80]).item() / 2, rel=1e-5)


def test_every_parameter_receives_a_gradient(predictor):
    prediction = predictor(maps(), torch.randn(1, 60, 32))
    (prediction.embed.square().sum() + prediction.logits.square().sum()).backward()
    assert [name for name, p in predictor.named_parameters() if p.grad is None] == []
