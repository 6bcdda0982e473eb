"""The shell scripts for several processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from tiny_kitti import short, write_prepared_kitti

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / 'tools'


def run(script, *arguments, **env):
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    # The checkout itself, so that the script works before the package is installed.
    environment = {**os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', **env}
    return subprocess.run(['bash', str(TOOLS / script), *arguments], capture_output=True, text=True, env=environment)


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh'])
def test_a_script_without_arguments_says_how_it_is_used(script):
    done = run(script)
    assert done.returncode == 2
    assert 'usage: ' in done.stderr


@pytest.mark.parametrize('script', ['train.py', 'test.py'])
def test_help_never_mentions_what_mim_would_take_for_an_old_option(script):
    """mim searches the help text for an option of mmdet3d 0.x and would then pass it."""
    done = subprocess.run([sys.executable, str(TOOLS / script), '-h'], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0
    assert '--gpus' not in done.stdout
    for flag in ('--work-dir', '--cfg-options', '--launcher', '--dry-run'):
        assert flag in done.stdout


@pytest.mark.slow
@pytest.mark.skipif('CUDA_VISIBLE_DEVICES' in os.environ, reason='written for processes on the CPU')
def test_two_processes_train_and_test_on_the_cpu(tmp_path):
    config = short(
        Config.fromfile(ROOT / 'configs' / 'students' / 'monodle_tiny_kitti.py'),
        write_prepared_kitti(tmp_path / 'kitti'),
    )
    config.work_dir = str(tmp_path / 'work')
    config.dump(tmp_path / 'student.py')
    port = str(20000 + os.getpid() % 20000)
    trained = run('dist_train.sh', str(tmp_path / 'student.py'), '2', '--seed', '1', PORT=port)
    assert trained.returncode == 0, trained.stderr[-2000:]
    checkpoint = tmp_path / 'work' / 'epoch_1.pth'
    assert checkpoint.is_file()
    tested = run('dist_test.sh', str(tmp_path / 'student.py'), str(checkpoint), '2', PORT=port)
    assert tested.returncode == 0, tested.stderr[-2000:]
    assert 'KITTI/Car_3D_AP40_moderate_strict' in tested.stdout + tested.stderr
