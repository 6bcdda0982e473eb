"""Put tools, configs and the model index where mim looks for them: inside the package, in ``mono_distill/.mim``.

A wheel gets copies; an editable install gets relative symlinks, so that an edited config is the one that runs. The
metadata is in pyproject.toml.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

ROOT = Path(__file__).resolve().parent
PACKAGE = 'mono_distill'
MIM = ('tools', 'configs', 'model-index.yml')


def copy_mim(target: Path) -> None:
    """Copy what mim needs to the folder ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in MIM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        else:
            shutil.copy2(ROOT / name, target)


def link_mim(target: Path) -> None:
    """Link what mim needs into the folder ``target``; copy where the system allows no symlinks."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        for name in MIM:
            (target / name).symlink_to(os.path.relpath(ROOT / name, target), target_is_directory=(ROOT / name).is_dir())
    except OSError:
        copy_mim(target)


def put_package_dir_first(wheel: Path) -> None:
    """Make the first line of the wheel's top_level.txt the absolute path of the package's folder.

    mim and mmengine look for a package at ``<folder of the metadata>/<first line of top_level.txt>``. The metadata of
    an editable install lies in site-packages, the package does not; joined to an absolute path, the folder drops out.
    Import, ``pip show`` and ``pip uninstall`` do not read this file.
    """
    with zipfile.ZipFile(wheel) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    content = f'{ROOT / PACKAGE}\n{PACKAGE}\n'.encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()
    with zipfile.ZipFile(wheel, 'w', zipfile.ZIP_DEFLATED) as archive:
        for info, data in members:
            if info.filename.endswith('.dist-info/top_level.txt'):
                data = content
            elif info.filename.endswith('.dist-info/RECORD'):
                rows = [
                    [row[0], f'sha256={digest}', str(len(content))] if row[0].endswith('/top_level.txt') else row
                    for row in csv.reader(io.StringIO(data.decode()))
                ]
                text = io.StringIO()
                csv.writer(text, lineterminator='\n').writerows(rows)
                data = text.getvalue().encode()
            archive.writestr(info, data)


class BuildPy(build_py):
    """Wheels carry copies, written to the build folder and never to the checkout."""

    def run(self) -> None:
        """Build the package, then add what mim needs."""
        super().run()
        if not self.editable_mode:
            copy_mim(Path(self.build_lib) / PACKAGE / '.mim')


class EditableWheel(editable_wheel):
    """``pip install -e .`` links what mim needs and tells mim where the package is."""

    def run(self) -> None:
        """Build the editable wheel and correct its top_level.txt."""
        link_mim(ROOT / PACKAGE / '.mim')
        super().run()
        for wheel in Path(self.dist_dir).glob('*.whl'):
            put_package_dir_first(wheel)


setup(cmdclass={'build_py': BuildPy, 'editable_wheel': EditableWheel})
