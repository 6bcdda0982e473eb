import pytest

from mono_distill.distillers.checkpoint_keys import from_checkpoint, to_checkpoint


@pytest.mark.parametrize('key', ['student.neck.weight', 'graph.adapters.a.conv.bias', 'student.student.x'])
def test_names_survive_the_round_trip(key):
    assert from_checkpoint(to_checkpoint(key)) == key


def test_student_names_lose_their_prefix():
    assert to_checkpoint('student.bbox_head.weight') == 'bbox_head.weight'
