from __future__ import annotations

import pickle
import signal
import stat

import pytest
from kitti_files import write_folder, write_split

from mono_distill.cli.main import main


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / 'kitti', training=3, testing=1)


def prepare(root, *options):
    return main(['prepare', 'kitti', '--root', str(root), '--workers', '1', *options])


def test_summary_says_what_was_made(root, capsys):
    write_split(root, 'train', '000000', '000002', '000050')
    assert prepare(root) == 0
    out = capsys.readouterr().out
    assert 'training: 3 of 3 frames prepared; depth maps of 3 written, of 0 kept, 0 without' in out
    assert 'train: kitti_infos_train.pkl, 2 of 3 frames (1 absent)' in out
    assert 'val: not written, there is no ImageSets/val.txt' in out
    assert 'trainval: kitti_infos_trainval.pkl, 3 of 3 frames' in out
    assert f'report: {root / "prepare_report.json"}' in out


def test_refusals_are_summed_up_by_part(root, capsys):
    (root / 'training/label_2/000001.txt').unlink()
    (root / 'training/label_2/000002.txt').write_text('Bus 1 2 3')
    assert prepare(root) == 0
    out = capsys.readouterr().out
    assert 'training: 1 of 3 frames prepared' in out
    assert 'refused for label_2: 2, first 000001' in out
    assert 'trainval: kitti_infos_trainval.pkl, 1 of 3 frames (2 refused)' in out


def test_all_frames_refused_is_an_error(root, capsys):
    for path in root.glob('*/calib/*.txt'):
        path.unlink()
    assert prepare(root) == 2
    assert 'all 4 frames were refused' in capsys.readouterr().err


def test_folder_without_frames_is_an_error(tmp_path, capsys):
    assert prepare(tmp_path) == 2
    assert 'holds no frames; expected files like training/image_2/000123.png' in capsys.readouterr().err


def test_read_only_folder_names_the_option(root, capsys):
    mode = root.stat().st_mode
    root.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert prepare(root) == 2
    finally:
        root.chmod(mode)
    assert '--out' in capsys.readouterr().err


def test_out_and_no_lidar_are_passed_on(root, tmp_path):
    assert prepare(root, '--out', str(tmp_path / 'out'), '--no-lidar') == 0
    infos = pickle.loads((tmp_path / 'out' / 'kitti_infos_trainval.pkl').read_bytes())
    assert 'depth_map' not in infos['data_list'][0]
    assert not (root / 'kitti_infos_trainval.pkl').exists()


def test_overwrite_replaces_depth_maps(root, capsys):
    prepare(root)
    prepare(root)
    assert 'of 0 written, of 3 kept' in capsys.readouterr().out
    prepare(root, '--overwrite')
    assert 'of 3 written, of 0 kept' in capsys.readouterr().out


def test_termination_says_how_to_continue(root, capsys, monkeypatch):
    def terminate(*_args, **_kwargs):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError('the signal was not answered')

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr('mono_distill.datasets.kitti.prepare.prepare_kitti', terminate)
    assert prepare(root) == 130
    assert 'run the same command again to continue' in capsys.readouterr().out
    assert signal.getsignal(signal.SIGTERM) is before


def test_data_set_and_root_are_required(capsys):
    with pytest.raises(SystemExit):
        main(['prepare', 'kitti'])
    assert '--root' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['prepare'])
    assert 'DATA_SET' in capsys.readouterr().err


@pytest.mark.real
def test_real_folder_is_prepared_beside_its_read_only_source(kitti_real, tmp_path, capsys):
    assert prepare(kitti_real, '--out', str(tmp_path)) == 0
    assert 'trainval: kitti_infos_trainval.pkl, 7 of 7 frames' in capsys.readouterr().out
    infos = pickle.loads((tmp_path / 'kitti_infos_trainval.pkl').read_bytes())['data_list']
    names = [item['bbox_label'] for info in infos for item in info['instances']]
    assert names.count(2) == 36
    for info in infos:
        assert all((tmp_path / path).is_file() for path in info['depth_map'].values())
        assert (tmp_path / 'training/velodyne' / info['lidar_points']['lidar_path']).is_file()
