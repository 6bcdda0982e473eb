import copy
import pickle

import torch

from mono_distill.models.monodetr.output_record import OutputRecord


def test_copies_and_pickles_are_empty():
    record = OutputRecord(hidden=torch.ones(1, requires_grad=True) * 2)
    assert copy.deepcopy([record]) == [{}]
    assert pickle.loads(pickle.dumps(record)) == {}
    assert record['hidden'].item() == 2
