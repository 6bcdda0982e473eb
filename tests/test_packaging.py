"""An installed mono_distill is found by mim, from any folder, and leaves nothing behind when it is uninstalled.

Each environment is new but downloads nothing: it sees the packages of the environment that runs the tests through a
``.pth`` file. Everything is built from a copy, because a build writes into the folder it starts from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CONFIG = 'configs/students/monodle_tiny_kitti.py'
NOT_COPIED = {'build', 'data', 'dist', 'work_dirs', '__pycache__', '.mim'}
# What the script `mim` does. It runs with -I, which keeps the working folder out of sys.path as a script does.
MIM = 'import sys; from mim.cli import cli; sys.argv[0] = "mim"; cli()'

pytestmark = pytest.mark.slow


class Install(NamedTuple):
    """One environment with mono_distill in it."""

    kind: str
    python: Path
    checkout: Path
    elsewhere: Path

    @property
    def package(self) -> Path:
        """The folder in which mim must look."""
        return (self.checkout if self.kind == 'editable' else site_packages(self.python)) / 'mono_distill'

    def run(self, *command: str | Path, cwd: Path | None = None) -> str:
        """Run a command with the environment's interpreter; return stdout, or fail with what it printed."""
        return run(self.python, *command, cwd=cwd or self.elsewhere)

    def mim(self, *arguments: str, cwd: Path | None = None) -> str:
        return self.run('-I', '-c', MIM, *arguments, cwd=cwd)


def run(python: Path, *command: str | Path, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'PYTHONHOME', 'VIRTUAL_ENV')}
    env |= {'PATH': f'{python.parent}{os.pathsep}{env["PATH"]}', 'PIP_NO_INDEX': '1', 'PYTHONWARNINGS': 'ignore'}
    done = subprocess.run(
        [python, *command], cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f'{command} in {cwd}:\n{done.stdout}\n{done.stderr}'
    return done.stdout


def site_packages(python: Path) -> Path:
    (folder,) = python.parent.parent.glob('lib/python3*/site-packages')
    return folder


def new_environment(folder: Path) -> Path:
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / 'bin' / 'python'
    outer = [entry for entry in sys.path if entry.endswith(('site-packages', 'dist-packages'))]
    (site_packages(python) / 'outer.pth').write_text('\n'.join(outer) + '\n')
    return python


def pip_install(python: Path, *what: str | Path, cwd: Path) -> None:
    run(python, '-m', 'pip', 'install', '-q', '--no-deps', '--no-build-isolation', '--ignore-installed', *what, cwd=cwd)


def contents(python: Path) -> set[str]:
    environment = python.parent.parent
    return {str(path.relative_to(environment)) for path in environment.rglob('*') if not path.is_dir()}


def copy_of_checkout(folder: Path) -> Path:
    def left_out(where: str, names: list[str]) -> set[str]:
        hidden = {name for name in names if name.startswith('.') or name.endswith('.egg-info')}
        return (NOT_COPIED & set(names)) | hidden if Path(where) == ROOT else {'__pycache__', '.mim'} & set(names)

    return Path(shutil.copytree(ROOT, folder / 'checkout', ignore=left_out))


def config_files() -> list[Path]:
    return [path.relative_to(ROOT) for path in sorted((ROOT / 'configs').rglob('*')) if path.suffix in ('.py', '.yml')]


def metafile_models() -> list[dict]:
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [model for name in index['Import'] for model in yaml.safe_load((ROOT / name).read_text())['Models']]


@pytest.fixture(scope='module', params=['wheel', 'editable'])
def install(request, tmp_path_factory) -> Install:
    folder = tmp_path_factory.mktemp(request.param)
    elsewhere = folder / 'elsewhere'
    elsewhere.mkdir()
    install = Install(request.param, new_environment(folder / 'env'), copy_of_checkout(folder), elsewhere)
    pip_install(install.python, *(['-e'] if install.kind == 'editable' else []), '.', cwd=install.checkout)
    return install


@pytest.mark.parametrize('config', [CONFIG, Path(CONFIG).name])
@pytest.mark.parametrize('folder', ['checkout', 'elsewhere'])
def test_mim_train_finds_script_and_config(install, folder, config):
    cwd = getattr(install, folder)
    output = install.mim('train', 'mono_distill', config, '--dry-run', cwd=cwd)
    used = config if (cwd / config).exists() else (install.package / '.mim' / CONFIG).resolve()
    assert f'{install.package}/.mim/tools/train.py {used} --launcher none --dry-run' in output
    assert 'Training finished successfully' in output


@pytest.mark.parametrize(('folder', 'config'), [('checkout', CONFIG), ('elsewhere', Path(CONFIG).name)])
def test_mim_test_finds_script_and_config(install, folder, config):
    cwd = getattr(install, folder)
    output = install.mim('test', 'mono_distill', config, '-C', 'x.pth', '--dry-run', cwd=cwd)
    assert f'{install.package}/.mim/tools/test.py' in output
    assert 'Testing finished successfully' in output


@pytest.mark.parametrize('folder', ['checkout', 'elsewhere'])
def test_mim_search_lists_every_model(install, folder):
    output = install.mim('search', 'mono_distill', cwd=getattr(install, folder))
    assert [model['Name'] for model in metafile_models() if f'config id: {model["Name"]}\n' not in output] == []


def test_mim_can_see_every_config(install):
    missing = [path for path in config_files() if not (install.package / '.mim' / path).is_file()]
    assert missing == []


def test_a_config_of_another_project_inherits_by_package_name(install):
    child = install.elsewhere / 'child.py'
    child.write_text("_base_ = 'mono_distill::students/monodle_tiny_kitti.py'\nchanged = 1\n")
    load = 'import mono_distill; from mmengine import Config; config = Config.fromfile("child.py")'
    assert install.run('-c', f'{load}; print(config.changed, "model" in config)').split() == ['1', 'True']


def test_the_command_is_installed(install):
    version = install.run(install.python.parent / 'mono-distill', '--version').strip()
    assert version == install.run('-c', 'import mono_distill; print(mono_distill.__version__)').strip()


def test_an_edited_config_counts_at_once_in_an_editable_install_only(install):
    linked = (install.package / '.mim' / CONFIG).resolve() == install.checkout / CONFIG
    assert linked == (install.kind == 'editable')


@pytest.mark.parametrize('options', [[], ['-e']], ids=['wheel', 'editable'])
def test_uninstalling_leaves_nothing(options, tmp_path):
    checkout, python = copy_of_checkout(tmp_path), new_environment(tmp_path / 'env')
    before = contents(python)
    pip_install(python, *options, '.', cwd=checkout)
    assert contents(python) > before
    run(python, '-m', 'pip', 'uninstall', '-q', '-y', 'mono_distill', cwd=tmp_path)
    assert contents(python) == before


def test_sdist_and_its_wheel_carry_the_package_and_what_mim_needs(tmp_path):
    checkout = copy_of_checkout(tmp_path)
    build = 'import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])'
    run(Path(sys.executable), '-c', build, str(tmp_path), cwd=checkout)
    (sdist,) = tmp_path.glob('mono_distill-*.tar.gz')
    with tarfile.open(sdist) as archive:
        assert not any('/tests/' in name or '/.mim/' in name for name in archive.getnames())

    run(Path(sys.executable), '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', sdist, cwd=tmp_path)
    (wheel,) = tmp_path.glob('mono_distill-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tools = [path.relative_to(ROOT) for path in (ROOT / 'tools').rglob('*') if path.suffix in ('.py', '.sh')]
    package = [
        path for path in (checkout / 'mono_distill').rglob('*') if path.is_file() and '__pycache__' not in path.parts
    ]
    wanted = {f'mono_distill/.mim/{path}' for path in [*config_files(), *tools, Path('model-index.yml')]}
    wanted |= {str(path.relative_to(checkout)) for path in package}
    assert wanted - names == set()
    assert {name.split('/')[0] for name in names if '.dist-info/' not in name} == {'mono_distill'}
