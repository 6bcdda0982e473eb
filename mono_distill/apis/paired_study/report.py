"""The results of a study: a table in Markdown and all numbers as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from mono_distill.apis.paired_study.study import Study
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import Run
from mono_distill.apis.synth_bench.schedule import finished
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError


@dataclass(frozen=True)
class Difference:
    """A paired difference over seeds.

    Attributes:
        values: Of every seed that both trainings have, in the order of the seeds.
        low: Lower end of the 95 % interval of the mean (Student's t); NaN for one seed.
        high: Upper end.
    """

    values: tuple[float, ...]
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def real(self) -> bool:
        """Whether 0 lies outside of the interval."""
        return self.low > 0 or self.high < 0


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    r"""Return the paired difference of two trainings.

    The interval is :math:`\bar d \pm t_{0.975, S-1}\, s_d / \sqrt S`: over seeds alone, on the frames as they are.

    Args:
        ours: Scores, one a seed.
        theirs: Scores of the same seeds.

    Raises:
        DataError: They differ in number, or there is none.

    Example:
        >>> found = paired_difference([12.0, 13.0, 15.0], [10.0, 10.0, 11.0])
        >>> found.mean, round(found.low, 2), round(found.high, 2)
        (3.0, 0.52, 5.48)
    """
    if len(ours) != len(theirs) or not len(ours):
        raise DataError(f'paired trainings differ in number: {len(ours)} and {len(theirs)} seeds')
    values = np.asarray(ours, dtype=np.float64) - np.asarray(theirs, dtype=np.float64)
    half = math.nan
    if len(values) > 1:
        half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))
    centre = float(values.mean())
    return Difference(tuple(float(value) for value in values), centre - half, centre + half)


def write_report(study: Study, folders: Folders, out: Path, *, seeds: int | None = None) -> list[Path]:
    """Write ``out.json`` and ``out.md`` from what is finished.

    Args:
        study: The study.
        folders: Its work folder.
        out: The files' path without its suffix.
        seeds: Number of seeds, by default the study's.

    Returns:
        The files.

    Raises:
        DataError: Nothing is finished.
    """
    results = {run: result for run in study.runs(seeds=seeds) if (result := finished(run, study, folders)) is not None}
    if not results:
        raise DataError(f'{folders.work} holds no finished run of study {study.name}; run it first')
    content = {
        'study': asdict(study),
        'runs': list(results.values()),
        'differences': {
            name: {
                other: {label: asdict(value) for label, value in found.items()}
                for other in study.trainings[name].against
                if (found := differences(study, results, name, other))
            }
            for name in study.trainings
        },
    }
    texts = {
        out.with_name(f'{out.name}.json'): json.dumps(content, indent=1) + '\n',
        out.with_name(f'{out.name}.md'): table(study, results),
    }
    for path, text in texts.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text)
    return list(texts)


def differences(study: Study, results: dict[Run, dict[str, Any]], name: str, other: str) -> dict[str, Difference]:
    """Return the paired differences of two trainings by metric, over the seeds that both have."""
    pairs = [
        (result, results[study.run(other, run.seed)])
        for run, result in results.items()
        if run.arm == name and study.run(other, run.seed) in results
    ]
    if not pairs:
        return {}
    return {
        label: paired_difference([one['test'][key] for one, _ in pairs], [two['test'][key] for _, two in pairs])
        for label, key in study.metrics.items()
    }


def table(study: Study, results: dict[Run, dict[str, Any]]) -> str:
    """Return the table in Markdown, with a line on how it was measured."""
    compared = study.compared or tuple(study.metrics)[:1]
    digits = {
        label: _digits([result['test'][key] for result in results.values()]) for label, key in study.metrics.items()
    }
    head = ['', 'seeds', 'steps', *study.metrics, *study.scalars, *(f'{label} over …' for label in compared)]
    head.append('CPU-s a run')
    lines = [f'# {study.title}', '', '| ' + ' | '.join(head) + ' |', '|' + '---|' * len(head)]
    for name, training in study.trainings.items():
        own = [result for run, result in results.items() if run.arm == name]
        if not own:
            continue
        scores = [
            _spread([result['test'][key] for result in own], digits[label]) for label, key in study.metrics.items()
        ]
        logged = [[result['scalars'].get(key) for result in own] for key in study.scalars.values()]
        scores += ['' if None in values else _spread(values, 2) for values in logged]
        found = {other: differences(study, results, name, other) for other in training.against}
        gains = [
            '<br>'.join(f'{other}: {_interval(gain[label], digits[label])}' for other, gain in found.items() if gain)
            for label in compared
        ]
        cost = np.mean([result['cpu_seconds'] for result in own])
        cells = [training.title, str(len(own)), str(own[0]['steps']), *scores, *gains, f'{cost:.0f}']
        lines.append('| ' + ' | '.join(cells) + ' |')
    lines += ['', _words(study, results)]
    return '\n'.join(lines) + '\n'


def _digits(values: Sequence[float]) -> int:
    """Scores of at most 1 (nuScenes) need more digits than percents (KITTI)."""
    return 3 if max(values) <= 2 else 1


def _spread(values: Sequence[float], digits: int) -> str:
    spread = f' ± {np.std(values, ddof=1):.{digits}f}' if len(values) > 1 else ''
    return f'{np.mean(values):.{digits}f}{spread}'


def _interval(found: Difference, digits: int) -> str:
    if len(found.values) == 1:
        return f'{found.mean:+.{digits}f} (one seed)'
    text = f'{found.mean:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]'
    return f'**{text}**' if found.real else text


def _words(study: Study, results: dict[Run, dict[str, Any]]) -> str:
    total = sum(result['cpu_seconds'] for result in results.values())
    versions = sorted({result['torch'] for result in results.values()})
    words = (
        'Mean ± standard deviation over seeds. Differences are paired by seed, with their 95 % interval over the seeds '
        f'(Student), bold where it excludes 0.{_starts(study, results)} {len(results)} trainings, {total:.0f} '
        f'CPU-seconds, torch {", ".join(versions)}, one thread each.'
    )
    return f'{words} {study.note}'.rstrip()


def _starts(study: Study, results: dict[Run, dict[str, Any]]) -> str:
    """Say whether what is compared starts alike and takes as many steps."""
    steps = {run.arm: result['steps'] for run, result in results.items()}
    unlike = [
        f'{name} and {other}'
        for name, training in study.trainings.items()
        for other in training.against
        if {name, other} <= set(steps) and (training.start, steps[name]) != (study.trainings[other].start, steps[other])
    ]
    if unlike:
        return f' Not of equal start and budget: {", ".join(unlike)}.'
    return ' What is compared starts from the same weights and takes the same number of steps.'
