import json

import pytest
from official_files import pair_state, save_official, small_state

from mono_distill.apis import convert
from mono_distill.cli.main import main


@pytest.fixture
def written(monkeypatch):
    """What would be written: full detectors are large."""
    files = {}
    monkeypatch.setattr(convert, 'write_weights', lambda path, state, meta: files.update({path.name: (state, meta)}))
    return files


def test_a_conversion_says_what_it_did_and_where_everything_is(written, tmp_path, capsys):
    file = save_official(tmp_path / 'epoch_180.pth', pair_state('monodle'))
    out = tmp_path / 'teacher.safetensors'
    command = ['convert', '--from', 'monostl', '--part', 'teacher', str(file), '--out', str(out), '--report', 'json']
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '340 keys mapped, 351 dropped'
    assert lines[1] == f'teacher: {out}'
    assert lines[2] == (
        f'its config: {tmp_path / "teacher_config.py"} (mono_distill::teachers/monodle_depth_kitti.py, with '
        'model.data_preprocessor.depth_normalize=monodistill)'
    )
    assert lines[3] == f'report: {out}.report.json'
    assert json.loads((tmp_path / 'teacher.safetensors.report.json').read_text())['counts']['mapped'] == 340
    assert list(written) == ['teacher.safetensors']


def test_a_file_that_does_not_fit_is_one_line_and_status_2(tmp_path, capsys):
    file = save_official(tmp_path / 'x.pth', small_state('monodetr'))
    assert main(['convert', '--from', 'monodle', '--part', 'student', str(file)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert (
        'x.pth: this looks like MonoDETR, not like a checkpoint of --from monodle (MonoDLE); convert it with' in error
    )


def test_a_config_of_the_users_own_is_taken(written, tmp_path, capsys):
    file = save_official(tmp_path / 'x.pth', small_state('monodle'))
    command = ['convert', '--from', 'monodle', '--part', 'student', str(file)]
    assert main([*command, '--config', 'mono_distill::students/monodle_tiny_kitti.py']) == 2
    assert 'keys of another shape' in capsys.readouterr().err
    assert main([*command, '--cfg-options', 'model.bbox_head.num_classes=1']) == 2
    assert 'trained for 3 classes' in capsys.readouterr().err


@pytest.mark.parametrize('options', [[], ['--from', 'monodle'], ['--part', 'student'], ['--from', 'x', '--part', 'y']])
def test_repository_and_part_are_needed(options, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['convert', 'x.pth', *options])
    assert stop.value.code == 2
    assert 'usage' in capsys.readouterr().err
