from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from tiny_kitti import random_teachers, short, write_prepared_kitti

from mono_distill.cli.main import main
from mono_distill.compat.checkpoints import load_checkpoint_file

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
STUDENT = str(CONFIGS / 'students' / 'monodle_tiny_kitti.py')


@pytest.fixture
def checkpoint(tmp_path):
    init_default_scope('mmdet3d')
    state = MODELS.build(Config.fromfile(STUDENT).model).state_dict()
    torch.save(dict(state_dict=state, meta=dict(epoch=3), optimizer={}), tmp_path / 'epoch_3.pth')
    return tmp_path / 'epoch_3.pth'


def test_an_export_says_what_it_wrote(checkpoint, capsys):
    assert main(['export', STUDENT, str(checkpoint)]) == 0
    lines = capsys.readouterr().out.splitlines()
    out = checkpoint.with_name('epoch_3_student.pth')
    count = len(load_checkpoint_file(out)['state_dict'])
    assert lines == [
        f'{count} tensors (last weights): {out}',
        f'its config: {checkpoint.with_name("epoch_3_student_config.py")}',
    ]


def test_safetensors_on_request(checkpoint, capsys):
    assert main(['export', STUDENT, str(checkpoint), '--safetensors']) == 0
    assert checkpoint.with_name('epoch_3_student.safetensors').is_file()


def test_averaged_weights_that_are_not_there_are_an_error(checkpoint, capsys):
    assert main(['export', STUDENT, str(checkpoint), '--ema']) == 2
    assert 'holds no averaged weights' in capsys.readouterr().err


def test_onnx_is_written_by_its_own_function(checkpoint, monkeypatch, capsys):
    from mono_distill.apis import onnx_export

    calls = []
    monkeypatch.setattr(onnx_export, 'export_onnx', lambda *args, **options: calls.append((args, options)) or 'done')
    options = ['--cfg-options', 'model.bbox_head.num_classes=3']
    assert main(['export', STUDENT, str(checkpoint), '--onnx', *options]) == 0
    arguments = (STUDENT, str(checkpoint), checkpoint.with_suffix('.onnx'))
    assert calls == [(arguments, {'cfg_options': {'model.bbox_head.num_classes': 3}})]
    assert capsys.readouterr().out == 'done\n'
    assert main(['export', STUDENT, str(checkpoint), '--onnx', '--no-ema']) == 2
    assert '--onnx takes no --ema or --no-ema' in capsys.readouterr().err


def test_onnx_and_safetensors_exclude_each_other(checkpoint, capsys):
    with pytest.raises(SystemExit):
        main(['export', STUDENT, str(checkpoint), '--onnx', '--safetensors'])
    assert 'not allowed with argument' in capsys.readouterr().err


@pytest.mark.slow
def test_the_exported_student_of_a_distillation_is_tested_with_the_config_beside_it(tmp_path):
    root = write_prepared_kitti(tmp_path / 'kitti')
    config = random_teachers(short(Config.fromfile(CONFIGS / 'monoskd_tiny_kitti.py'), root))
    config.model.teachers.depth.config = str(CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py')
    config.model.student.bbox_head.test_cfg = dict(score_thr=0.0)
    config.dump(tmp_path / 'monoskd.py')
    init_default_scope('mmdet3d')
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict(), meta={}), tmp_path / 'epoch_2.pth')
    expected = submission(tmp_path, 'monoskd.py', 'epoch_2.pth')
    assert all(text.count('\n') > 5 for _, text in expected)
    for suffix in ('pth', 'safetensors'):
        command = ['export', str(tmp_path / 'monoskd.py'), str(tmp_path / 'epoch_2.pth')]
        assert main([*command, '--out', str(tmp_path / f'student.{suffix}')]) == 0
        assert submission(tmp_path, 'student_config.py', f'student.{suffix}') == expected


def submission(folder, config, weights):
    """Test a checkpoint and return the names and contents of its submission files."""
    work = folder / f'work_{weights}'
    options = ['--work-dir', str(work), '--format-only', str(work / 'submission')]
    assert main(['test', str(folder / config), str(folder / weights), *options]) == 0
    return [(path.name, path.read_text()) for path in sorted((work / 'submission').rglob('*.txt'))]
