"""Tests of mono_distill.targets.gt_box_codes."""

import torch
from bevformer_models import annotated

from mono_distill import targets
from mono_distill.ops.gt_box_codes import gt_box_codes
from mono_distill.registry import MODELS


def test_the_module_gives_the_codes_of_the_samples():
    samples = annotated((3, 1))
    found = MODELS.build(dict(type='mono_distill.GTBoxCodes'))(samples)
    torch.testing.assert_close(found, gt_box_codes(samples), equal_nan=True)


def test_the_function_has_its_name_here_too():
    assert targets.gt_box_codes is gt_box_codes
