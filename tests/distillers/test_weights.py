import pytest
import torch
from toy import ToyDetector, build_distiller

from mono_distill.distillers.weights import last_checkpoint, load_teacher_weights, read_state_dict
from mono_distill.utils.errors import CheckpointError


def test_a_work_directory_gives_its_last_checkpoint(tmp_path):
    model = ToyDetector()
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'epoch_3.pth')
    (tmp_path / 'last_checkpoint').write_text('/moved/away/epoch_3.pth')
    source, state = read_state_dict(str(tmp_path))
    assert source.endswith('epoch_3.pth')
    assert set(state) == set(model.state_dict())


def test_a_folder_without_a_record_is_named(tmp_path):
    with pytest.raises(CheckpointError, match='without a last_checkpoint record'):
        last_checkpoint(tmp_path)


def test_a_record_of_a_deleted_file_is_named(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('epoch_9.pth')
    with pytest.raises(CheckpointError, match=r'names epoch_9.pth, which is gone'):
        last_checkpoint(tmp_path)


@pytest.mark.parametrize('key', ['state_dict', 'model_state', 'model', None])
def test_every_usual_container_is_understood(tmp_path, key):
    weights = {f'module.{name}': value for name, value in ToyDetector().state_dict().items()}
    torch.save({key: weights} if key else weights, tmp_path / 'c.pth')
    assert 'neck.weight' in read_state_dict(str(tmp_path / 'c.pth'))[1]


def test_a_distillation_checkpoint_gives_its_student(tmp_path):
    distiller, teacher = build_distiller(), ToyDetector()
    torch.save({'state_dict': distiller.state_dict()}, tmp_path / 'c.pth')
    load_teacher_weights(teacher, str(tmp_path / 'c.pth'), 'ta')
    student = distiller.student.state_dict()
    assert all(torch.equal(value, student[name]) for name, value in teacher.state_dict().items())


def test_a_file_without_weights_is_named(tmp_path):
    torch.save({'epoch': 3}, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match="holds no weights under 'state_dict'"):
        read_state_dict(str(tmp_path / 'c.pth'))


def test_missing_and_foreign_names_are_counted(tmp_path):
    state = ToyDetector().state_dict()
    state['extra.weight'] = state.pop('neck.weight')
    torch.save({'state_dict': state}, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match=r'1 parameters missing: neck.weight; 1 not in the model: extra.weight'):
        load_teacher_weights(ToyDetector(), str(tmp_path / 'c.pth'), 'depth')
    load_teacher_weights(ToyDetector(), str(tmp_path / 'c.pth'), 'depth', strict=False)


def test_a_checkpoint_with_nothing_in_common_is_refused_even_when_not_strict(tmp_path):
    torch.save({'state_dict': {'a': torch.ones(1)}}, tmp_path / 'c.pth')
    with pytest.raises(CheckpointError, match='of another architecture'):
        load_teacher_weights(ToyDetector(), str(tmp_path / 'c.pth'), 'depth', strict=False)


def test_a_copied_work_directory_gives_its_own_checkpoint(tmp_path):
    for name in ('original', 'copy'):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'epoch_3.pth').touch()
        (tmp_path / name / 'last_checkpoint').write_text(str(tmp_path / 'original' / 'epoch_3.pth'))
    assert last_checkpoint(tmp_path / 'copy') == tmp_path / 'copy' / 'epoch_3.pth'
