"""Training curves from what mmengine's ``LocalVisBackend`` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps of a training.

    Attributes:
        steps: Step numbers, ascending.
        values: Mean of the quantity over the last logged steps.
    """

    steps: list[int]
    values: list[float]


def read_scalars(work_dir: Path) -> dict[int, dict[str, float]]:
    """Return what was logged at every step of a training, over all its runs.

    A resumed run starts a folder of its own and logs some steps again: the later run counts. A line that a killed run
    left unfinished is skipped.

    Args:
        work_dir: Work directory with ``<time>/vis_data/scalars.json``.

    Returns:
        Logged numbers by step, ascending.
    """
    rows: dict[int, dict[str, float]] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(entry, dict) and 'loss' in entry and 'step' in entry:
                rows[int(entry['step'])] = entry
    return dict(sorted(rows.items()))


def detection_loss(rows: dict[int, dict[str, float]]) -> Curve:
    """Return the detector's own loss: the total without the terms of the distillation."""
    values = [row['loss'] - sum(value for key, value in row.items() if is_distillation(key)) for row in rows.values()]
    return Curve(list(rows), values)


def distillation_losses(rows: dict[int, dict[str, float]]) -> dict[str, Curve]:
    """Return the weighted terms of the distillation by name."""
    keys = sorted({key for row in rows.values() for key in row if is_distillation(key)})
    return {key.removeprefix('loss_kd_'): term(rows, key) for key in keys}


def term(rows: dict[int, dict[str, float]], key: str) -> Curve:
    """Return one logged quantity, at the steps that have it."""
    found = {step: row[key] for step, row in rows.items() if key in row}
    return Curve(list(found), list(found.values()))


def is_distillation(key: str) -> bool:
    """Whether a logged name is that of a weighted term of a distillation.

    Example:
        >>> is_distillation('loss_kd_spearman'), is_distillation('loss_depth')
        (True, False)
    """
    return key.startswith('loss_kd_')
