from __future__ import annotations

import pytest
import torch
from mmengine.structures import InstanceData

from mono_distill.models.task_modules.object_slots import (
    host_values,
    meta_column,
    require_fields,
    require_meta,
    zero_unless,
)
from mono_distill.utils.errors import DataError


def test_invalid_slots_become_zero_whatever_they_hold():
    value = torch.full((1, 2, 3), torch.nan)
    value[0, 0] = 5
    assert zero_unless(torch.tensor([[True, False]]), value)[0].tolist() == [[5, 5, 5], [0, 0, 0]]


def test_meta_values_take_the_type_of_the_tensor_they_meet():
    column = meta_column([{'random_crop': True}, {}], 'random_crop', False, like=torch.zeros(1, dtype=torch.bool))
    assert torch.equal(column, torch.tensor([[True], [False]]))
    assert host_values([[1, 2]], like=torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_what_is_missing_is_named():
    with pytest.raises(DataError, match=r"Encoder: gt_instances_3d lacks \['depths'\].*PackMono3DInputs"):
        require_fields([InstanceData(bboxes=torch.zeros(1, 4))], ['bboxes', 'depths'], owner='Encoder')
    with pytest.raises(DataError, match=r"Encoder: the meta information of b.png lacks 'img_shape'"):
        require_meta([{'img_shape': (1, 2)}, {'img_path': 'b.png'}], 'img_shape', owner='Encoder')
