"""Tests of mono_distill.losses.tensor_dict."""

import pytest
import torch

from mono_distill.losses.tensor_dict import require_tensors
from mono_distill.utils.errors import ConfigError, ShapeError

TENSORS = dict(boxes=torch.zeros(2, 5, 4), mask=torch.ones(2, 5))


def test_tensors_come_in_the_order_asked_for():
    mask, boxes = require_tensors(TENSORS, {'mask': (2, 5), 'boxes': (None, None, 4)}, owner='demo')
    assert mask is TENSORS['mask']
    assert boxes is TENSORS['boxes']


def test_missing_names_list_what_exists():
    with pytest.raises(ConfigError, match="demo: needs 'depth', got only: boxes, mask"):
        require_tensors(TENSORS, {'depth': (2,)}, owner='demo')
    with pytest.raises(ConfigError, match="demo: needs 'depth', got only: nothing"):
        require_tensors({}, {'depth': (2,)}, owner='demo')


@pytest.mark.parametrize('expected', [(2, 6), (2,), (2, 5, 1)])
def test_wrong_shapes_are_named(expected):
    with pytest.raises(ShapeError, match=r"demo: 'mask' has shape \(2, 5\), expected \("):
        require_tensors(TENSORS, {'mask': expected}, owner='demo')
