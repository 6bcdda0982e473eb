from __future__ import annotations

import pytest
from tiny_nuscenes import linked_root, load_infos

from mono_distill.cli.main import main


@pytest.fixture
def root(tmp_path, tiny_nuscenes):
    folder = linked_root(tiny_nuscenes, tmp_path / 'nuscenes')
    for path in folder.glob('*.pkl'):
        path.unlink()
    return folder


def prepare(root, *options):
    return main(['prepare', 'nuscenes', '--root', str(root), *options])


def test_summary_says_what_was_made(root, capsys):
    assert prepare(root, '--version', 'v1.0-mini') == 0
    out = capsys.readouterr().out
    for split in ('train', 'val'):
        assert f'{split}: {root}/nuscenes_infos_{split}.pkl, 3 key-frames of 1 scene\n' in out
        cars = sum(i['bbox_label_3d'] == 0 for k in load_infos(root, split)['data_list'] for i in k['instances'])
        assert f'boxes: car {cars}, truck' in out
    assert f'v1.0-mini of {root} (' in out


def test_infos_can_be_written_elsewhere(root, tmp_path):
    assert prepare(root, '--out', str(tmp_path / 'out')) == 0
    assert len(load_infos(tmp_path / 'out', 'val')['data_list']) == 3
    assert not list(root.glob('*.pkl'))


def test_a_missing_file_fails_the_command_unless_checks_are_off(root, capsys):
    image = next((root / 'samples/CAM_FRONT').iterdir())
    image.unlink()
    assert prepare(root) == 2
    assert f'samples/CAM_FRONT/{image.name}' in capsys.readouterr().err
    assert prepare(root, '--skip-file-checks') == 0


def test_a_folder_that_is_no_root_is_an_error(tmp_path, capsys):
    assert prepare(tmp_path) == 2
    assert 'is not a nuScenes root' in capsys.readouterr().err
