"""docs/distill_your_own.md is followed word by word, with a smaller FCOS3D and two frames."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from kitti_files import write_folder, write_split

from mono_distill.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / 'docs' / 'distill_your_own.md').read_text()
FILE = re.compile(r'[Ww]rite `(\w+\.py)`.*?```python\n(.*?)```', re.DOTALL)
BLOCK = re.compile(r'```(\w*)\n(.*?)```', re.DOTALL)
# What the page calls FCOS3D: the project's config, made small.
SMALL = """
_base_ = '{original}'
model = dict(backbone=dict(depth=18, init_cfg=None), neck=dict(in_channels=[64, 128, 256, 512]))
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='Resize3D', scale=(320, 96), keep_ratio=True),
    *_base_.train_pipeline[3:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='mmdet.Resize', scale=(320, 96), keep_ratio=True),
    _base_.test_pipeline[2],
]
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
# Twelve epochs, as the page says, of one step; the scores of random networks are nothing to compare.
train_cfg = dict(val_interval=12)
"""


def commands():
    text = '\n'.join(content for kind, content in BLOCK.findall(PAGE) if kind == 'bash')
    return [shlex.split(line) for line in text.splitlines() if line]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder like the repository's, with two frames of KITTI in it."""
    root = write_folder(tmp_path / 'data' / 'kitti', training=2)
    for split in ('train', 'val', 'trainval'):
        write_split(root, split, '000000', '000001')
    project = tmp_path / 'projects' / 'distill_your_own'
    project.mkdir(parents=True)
    original = ROOT / 'projects' / 'distill_your_own' / 'fcos3d_kitti.py'
    (project / original.name).write_text(SMALL.format(original=original))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_files_are_those_of_the_project():
    """Apart from comments, and the paths that a folder of its own needs, page and project say the same."""
    from mmengine.config import Config

    files = dict(FILE.findall(PAGE))
    assert list(files) == ['fcos3d_depth.py', 'fcos3d_distilled.py', 'fcos3d_monostl.py']
    project = ROOT / 'projects' / 'distill_your_own'
    for name, leaf in (('fcos3d_distilled', 'fcos3d_monoskd_kitti'), ('fcos3d_monostl', 'fcos3d_monostl_kitti')):
        shown, real = page_config(name, files), Config.fromfile(project / f'{leaf}.py')
        for part in ('taps', 'targets', 'adapters', 'losses', 'student'):
            assert shown.model[part] == real.model[part], (name, part)
        assert shown.train_dataloader == real.train_dataloader
    teacher = Config.fromfile(project / 'fcos3d_depth_kitti.py')
    assert page_config('fcos3d_depth', files).model == teacher.model


def page_config(name, files):
    """Load a file of the page as if it stood in the repository's folder."""
    import tempfile

    from mmengine.config import Config

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / 'projects').symlink_to(ROOT / 'projects')
        for other, content in files.items():
            (Path(folder) / other).write_text(content)
        return Config.fromfile(Path(folder) / f'{name}.py')


@pytest.mark.slow
def test_the_page_works(workplace, capsys):
    for name, content in FILE.findall(PAGE):
        # Untrained networks score 0: the check would rightly refuse this teacher.
        (workplace / name).write_text(content.replace("_loose')", "_loose', on_failure='warn')"))
    ran = []
    for command, *arguments in commands():
        assert command == 'mono-distill'
        capsys.readouterr()
        assert main(arguments) == 0, arguments
        ran.append(arguments[0])
        if arguments[0] == 'taps':
            listed = next(content for kind, content in BLOCK.findall(PAGE) if not kind)
            assert set(listed.splitlines()) <= set(capsys.readouterr().out.splitlines())
    assert ran == ['prepare', 'train', 'train', 'taps', 'train', 'train', 'test']
    script = next(content for kind, content in BLOCK.findall(PAGE) if kind == 'python' and 'init_model' in content)
    names = {}
    exec(script, names)
    assert type(names['model']).__name__ == 'FCOSMono3D'
    shutil.rmtree(workplace / 'work_dirs')
