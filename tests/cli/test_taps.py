from pathlib import Path

from mono_distill.cli.main import main

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def test_modules_of_a_detector_are_listed(capsys):
    assert main(['taps', str(CONFIGS / 'students' / 'monodle_tiny_kitti.py')]) == 0
    listed = capsys.readouterr().out
    assert 'student:neck  (DLAUpNeck)' in listed
    assert 'student:bbox_head.target_encoder  (CenterNetTargetEncoder)' in listed
