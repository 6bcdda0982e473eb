"""The scores of the demo's detectors, and the table of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.models import MODELS, DemoModel
from mono_distill.utils.errors import DataError

# Column titles and the names KittiMonoMetric gives the scores.
COLUMNS = {
    '3D, IoU 0.5': 'KITTI/Car_3D_AP40_{}_loose',
    '3D, IoU 0.7': 'KITTI/Car_3D_AP40_{}_strict',
    'BEV, IoU 0.5': 'KITTI/Car_BEV_AP40_{}_loose',
    'BEV, IoU 0.7': 'KITTI/Car_BEV_AP40_{}_strict',
}
DIFFICULTIES = ('easy', 'moderate', 'hard')


@dataclass(frozen=True)
class Row:
    """The scores of one detector.

    Attributes:
        model: Which.
        scores: Everything its test measured, by the metric's names, percent.
    """

    model: DemoModel
    scores: dict[str, float]

    def cells(self, difficulty: str = 'moderate') -> list[float]:
        """Return the AP40 of the columns, percent."""
        return [self.scores[key.format(difficulty)] for key in COLUMNS.values()]


def read_rows(folder: DemoFolder) -> list[Row]:
    """Return the scores of the tested detectors.

    Raises:
        DataError: A test left no scores.
    """
    return [Row(model, read_scores(folder.test_dir(model.name))) for model in MODELS]


def read_scores(work_dir: Path) -> dict[str, float]:
    """Return the scores of the newest test in a work directory.

    Raises:
        DataError: There are none.
    """
    for path in sorted(work_dir.glob('*/*.json'), reverse=True):
        for line in reversed(path.read_text().splitlines()):
            scores = {key: float(value) for key, value in json.loads(line).items() if key.startswith('KITTI/')}
            if scores:
                return scores
    raise DataError(f'{work_dir} holds no scores of a test; remove the folder and run the demo again')


def text_table(rows: Sequence[Row], difficulty: str = 'moderate') -> str:
    """Return the scores as aligned lines of text."""
    names = [f'{row.model.title} ({row.model.note})' for row in rows]
    width = max(len(name) for name in names)
    lines = [f'{"":<{width}}  ' + '  '.join(f'{title:>12}' for title in COLUMNS)]
    for name, row in zip(names, rows, strict=True):
        lines.append(f'{name:<{width}}  ' + '  '.join(f'{value:12.2f}' for value in row.cells(difficulty)))
    return '\n'.join(lines)
