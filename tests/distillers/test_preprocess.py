import torch
from toy import batch, build_distiller


def test_the_incoming_batch_is_left_as_it_was():
    data = batch()
    images, keys = list(data['inputs']['img']), set(data['inputs'])
    build_distiller().data_preprocessor(data, True)
    assert set(data['inputs']) == keys
    assert all(torch.equal(a, b) for a, b in zip(images, data['inputs']['img'], strict=True))


def test_teachers_get_nothing_outside_training():
    assert 'teacher_inputs' not in build_distiller().data_preprocessor(batch(), False)
