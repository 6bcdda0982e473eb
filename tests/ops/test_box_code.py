"""Tests of mono_distill.ops.box_code."""

from __future__ import annotations

import math

import pytest
import torch

from mono_distill.ops.box_code import decode_box_code, encode_box_code
from mono_distill.utils.errors import ConfigError, ShapeError

RANGE = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)


def random_boxes(*shape, entries=9):
    boxes = torch.randn(*shape, entries, dtype=torch.float64)
    boxes[..., :2] *= 30
    boxes[..., 3:6] = boxes[..., 3:6].exp()
    boxes[..., 6] = torch.rand(shape, dtype=torch.float64).mul(2).sub(1) * math.pi
    return boxes


def test_entries_are_in_the_order_of_detr3d():
    box = torch.tensor([1.0, 2.0, 3.0, math.exp(4), math.exp(5), math.exp(6), 0.5, 7.0, 8.0], dtype=torch.float64)
    code = torch.tensor([1.0, 2.0, 4.0, 5.0, 3.0, 6.0, math.sin(0.5), math.cos(0.5), 7.0, 8.0], dtype=torch.float64)
    torch.testing.assert_close(encode_box_code(box), code)
    torch.testing.assert_close(decode_box_code(code), box)


@pytest.mark.parametrize('entries', [9, 7])
@pytest.mark.parametrize('point_range', [None, RANGE])
def test_decoding_undoes_encoding(entries, point_range):
    boxes = random_boxes(2, 5, entries=entries)
    code = encode_box_code(boxes, point_range)
    assert code.shape == (2, 5, entries + 1)
    torch.testing.assert_close(decode_box_code(code, point_range), boxes)


def test_corners_of_the_range_are_zero_and_one():
    boxes = random_boxes(2)
    boxes[0, :3], boxes[1, :3] = torch.tensor(RANGE[:3]), torch.tensor(RANGE[3:])
    code = encode_box_code(boxes, RANGE)[:, [0, 1, 4]]
    torch.testing.assert_close(code, torch.tensor([[0.0] * 3, [1.0] * 3], dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_full_turn_is_the_same_code():
    boxes = random_boxes(4)
    turned = boxes.clone()
    turned[:, 6] += 2 * math.pi
    torch.testing.assert_close(encode_box_code(turned), encode_box_code(boxes))
    torch.testing.assert_close(decode_box_code(encode_box_code(turned)), boxes)


def test_length_of_sine_and_cosine_does_not_matter():
    code = encode_box_code(random_boxes(4))
    longer = code.clone()
    longer[:, 6:8] *= 3
    torch.testing.assert_close(decode_box_code(longer), decode_box_code(code))


def test_padding_of_zeros_is_finite_both_ways():
    padding = torch.zeros(1, 9, requires_grad=True)
    code = encode_box_code(padding, RANGE)
    back = decode_box_code(code, RANGE)
    assert code.isfinite().all()
    torch.testing.assert_close(back, padding, atol=2e-5, rtol=0)
    assert torch.autograd.grad(back.sum(), padding)[0].isfinite().all()
    nothing = torch.zeros(1, 10, requires_grad=True)
    assert torch.autograd.grad(decode_box_code(nothing).sum(), nothing)[0].isfinite().all()


def test_both_ways_are_differentiable():
    boxes = random_boxes(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: encode_box_code(x, RANGE), boxes)
    code = encode_box_code(boxes.detach(), RANGE).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: decode_box_code(x, RANGE), code)


def test_wrong_numbers_of_entries_are_named():
    with pytest.raises(ShapeError, match=r'boxes must have 9 entries .*\(7 without velocity\), got shape \(2, 10\)'):
        encode_box_code(torch.zeros(2, 10))
    with pytest.raises(ShapeError, match=r'code must have 10 entries .*\(8 without velocity\), got shape \(2, 9\)'):
        decode_box_code(torch.zeros(2, 9))


@pytest.mark.parametrize('point_range', [(0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0, 0.0, 1.0)])
def test_a_range_without_extent_is_refused(point_range):
    with pytest.raises(ConfigError, match='each minimum below its maximum'):
        encode_box_code(torch.zeros(2, 9), point_range)
