from __future__ import annotations

import torch

from mono_distill.ops.pad_slots import pad_slots


def test_lists_of_unequal_length_are_padded():
    padded = pad_slots([torch.ones(2, 4), torch.ones(0, 4), torch.ones(1, 4)], -1)
    assert padded.shape == (3, 2, 4)
    assert padded[..., 0].tolist() == [[1, 1], [-1, -1], [1, -1]]


def test_a_batch_without_objects_keeps_one_slot_and_the_dtype():
    padded = pad_slots([torch.zeros(0, dtype=torch.long)] * 2, -1)
    assert torch.equal(padded, torch.tensor([[-1], [-1]]))
