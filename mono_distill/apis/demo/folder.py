"""The folder of a demo run: where things are, what is finished, and who works in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mono_distill.apis.demo.options import DemoOptions
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import ConfigError
from mono_distill.utils.folder_lock import locked_folder

RECORD = 'demo.json'


@dataclass(frozen=True)
class DemoFolder:
    """The paths below ``out`` and the record of finished jobs.

    Attributes:
        out: The folder.
    """

    out: Path

    @property
    def kitti(self) -> Path:
        """The prepared KITTI root that is trained on and evaluated on."""
        return self.world / 'train'

    @property
    def world(self) -> Path:
        """What the configs of the embedded world take as ``SYNTH_ROOT``."""
        return self.out / 'world'

    @property
    def report(self) -> Path:
        """The report."""
        return self.out / 'report.html'

    @property
    def results(self) -> Path:
        """The numbers of the report."""
        return self.out / 'results.json'

    @property
    def pictures(self) -> Path:
        """Folder of the pictures of the report."""
        return self.out / 'pictures'

    def work_dir(self, name: str) -> Path:
        """Checkpoints and logs of a training."""
        return self.out / name

    def test_dir(self, name: str) -> Path:
        """Scores and predictions of a trained model."""
        return self.out / 'test' / name

    def predictions(self, name: str) -> Path:
        """What a model found, one text file per frame in KITTI's format."""
        return self.test_dir(name) / 'predictions'

    def log(self, job: str) -> Path:
        """What a job printed in its last run."""
        return self.out / 'logs' / f'{job}.log'

    def entry(self, job: str) -> dict[str, Any]:
        """Return the record of a job: ``finished``, ``seconds`` over all its runs, and ``command`` if it had one."""
        try:
            entry = json.loads(self._marker(job).read_text())
        except FileNotFoundError:
            entry = {}
        return {'finished': False, 'seconds': 0.0, 'command': None} | entry

    def add(self, job: str, *, seconds: float, finished: bool, command: str | None = None) -> None:
        """Record that a job ran for some seconds, and whether it is finished now."""
        before = self.entry(job)
        entry = {'finished': finished, 'seconds': before['seconds'] + seconds, 'command': command or before['command']}
        _write_json(self._marker(job), entry)

    def _marker(self, job: str) -> Path:
        return self.out / 'stages' / f'{job}.json'


@contextmanager
def opened(options: DemoOptions) -> Iterator[tuple[DemoFolder, int]]:
    """Claim the folder for this process.

    Yields:
        The folder, and an open file that holds the claim. A child process that inherits it keeps the claim, so that
        no second run starts beside a training that outlived its parent.

    Raises:
        ConfigError: The folder belongs to something else, to a run with other options, or to one that is at work.
    """
    folder = DemoFolder(options.out)
    _check_free(folder)
    with locked_folder(options.out, 'demo', '--out') as handle:
        _check_same(folder, options)
        yield folder, handle


def _check_free(folder: DemoFolder) -> None:
    if not folder.out.exists():
        return
    if not folder.out.is_dir():
        raise ConfigError(f'--out {folder.out} is not a folder')
    names = {entry.name for entry in folder.out.iterdir()} - {'.lock'}
    if names and RECORD not in names:
        raise ConfigError(f'--out {folder.out} holds something else than a demo; name a new or empty folder')


def _check_same(folder: DemoFolder, options: DemoOptions) -> None:
    record = folder.out / RECORD
    wanted = options.recorded()
    if not record.exists():
        _write_json(record, wanted)
        return
    had = json.loads(record.read_text())
    differing = [
        f'{name} {had.get(name)} (now {wanted.get(name)})'
        for name in dict.fromkeys([*had, *wanted])
        if had.get(name) != wanted.get(name)
    ]
    if differing:
        raise ConfigError(
            f'{folder.out} holds a demo with other options: {", ".join(differing)}. Use the same options to continue '
            'it, another --out for a new one, or remove the folder'
        )


def _write_json(path: Path, content: Any) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + '\n')
