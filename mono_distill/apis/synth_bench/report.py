"""The benchmark's results as files: JSON, CSV and the tables of the documentation."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mono_distill.apis.synth_bench.analysis import (
    CLASS_MEASURES,
    DEPTH_MEASURES,
    MEASURES,
    Analysis,
    Row,
    late_change,
    plain,
)
from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.plan import (
    ARMS,
    BASE,
    CONTROL,
    DENSE,
    FEATURE_ARMS,
    PRIMARY,
    TEACHER,
    Plan,
    Run,
    controls_of,
)
from mono_distill.apis.synth_bench.schedule import finished
from mono_distill.apis.synth_bench.statistics import Interval
from mono_distill.utils.atomic import atomic_path
from mono_distill.utils.errors import DataError

BEGIN, END = '<!-- bench:begin -->', '<!-- bench:end -->'
_FIRST = next(iter(MEASURES))
# Second controls in the words of the table.
_SHORT = {
    DENSE: 'dense ground truth',
    'pseudo_labels': 'pseudo-labels',
    **dict.fromkeys((arm for arm in FEATURE_ARMS if arm.startswith('l2')), 'plain L2'),
}


def write_report(runs: Sequence[Run], plan: Plan, folders: Folders, out: Path) -> list[Path]:
    """Analyse what is finished and write ``results.json``, ``runs.csv``, ``summary.csv`` and three tables.

    Args:
        runs: Runs of the plan.
        plan: The plan.
        folders: The work folder.
        out: Folder of the files.

    Returns:
        The files.

    Raises:
        DataError: Nothing is finished.
    """
    results = [result for run in runs if (result := finished(run, plan, folders)) is not None]
    rows = Analysis(plan, folders).rows(runs)
    if not rows:
        raise DataError(f'{folders.work} holds no finished run of this plan; run `mono-distill bench synth` first')
    content = {
        'primary': PRIMARY,
        'plan': asdict(plan),
        'rows': [plain(row) for row in rows],
        'runs': results,
    }
    texts = {
        'results.json': json.dumps(content, indent=1) + '\n',
        'runs.csv': runs_csv(results),
        'summary.csv': summary_csv(rows),
        'summary.md': summary_table(content),
        'distances.md': gain_table(content, list(DEPTH_MEASURES)),
        'classes.md': gain_table(content, list(CLASS_MEASURES)),
    }
    for name, text in texts.items():
        with atomic_path(out / name) as temporary:
            temporary.write_text(text)
    return [out / name for name in texts]


def runs_csv(results: Sequence[dict[str, Any]]) -> str:
    """Return one line a run: its test scores and its cost."""
    columns = ['setting', 'arm', 'seed', 'steps', 'cpu_seconds']
    metrics = sorted({key for result in results for key in result['test'] if 'AP40' in key})
    return _csv(
        [*columns, *(key.removeprefix('KITTI/') for key in metrics)],
        (
            [result[column] for column in columns] + [_number(result['test'].get(key), 4) for key in metrics]
            for result in results
        ),
    )


def summary_csv(rows: Sequence[Row]) -> str:
    """Return one line for every arm, measure and control."""
    head = ['setting', 'arm', 'seeds', 'steps', 'measure', 'mean', 'std', 'mean_low', 'mean_high']
    head += ['control', 'gain', 'gain_low', 'gain_high']
    none: dict[str, dict[str, Interval]] = {'': {}}
    lines = []
    for row in rows:
        for label, (control, gains) in itertools.product(MEASURES, (row.gain or none).items()):
            spread, gain = row.spread[label], gains.get(label)
            numbers = [row.mean(label), row.std(label), spread.low, spread.high]
            differences = [gain.value, gain.low, gain.high] if gain else [None, None, None]
            lines.append(
                [row.setting, row.arm, len(row.seeds), row.steps, label]
                + [_number(value, 3) for value in numbers]
                + [control, *(_number(value, 3) for value in differences)]
            )
    return _csv(head, lines)


def summary_table(content: dict[str, Any]) -> str:
    """Return the table of README: every arm with its gain over its control.

    Args:
        content: What ``results.json`` holds.
    """
    rows = [_row(values) for values in content['rows']]
    settings = content['plan']['settings']
    lines = [
        '| setting | model | seeds | 3D@0.5 | 3D@0.7 | BEV@0.5 | 3D@0.5 over the control | … over the second control |',
        '|---' * 8 + '|',
    ]
    for row in rows:
        scores = ' | '.join(_score(row, label) for label in ('3D@0.5', '3D@0.7', 'BEV@0.5'))
        gains = ' | '.join(_gain_over(row, control) for control in _two(controls_of(row.arm)))
        lines.append(f'| {settings[row.setting]["title"]} | {ARMS[row.arm]} | {len(row.seeds)} | {scores} | {gains} |')
    return '\n'.join([*lines, '', *_notes(content, rows)]) + '\n'


def gain_table(content: dict[str, Any], labels: Sequence[str]) -> str:
    """Return the scores of some measures, with the gains over the control.

    Args:
        content: What ``results.json`` holds.
        labels: Keys of ``MEASURES``, a column each.
    """
    settings = content['plan']['settings']
    lines = [f'| setting | model | {" | ".join(labels)} |', '|---' * (2 + len(labels)) + '|']
    for row in (_row(values) for values in content['rows']):
        gains = next(iter(row.gain.values()), {})
        cells = [f'{row.mean(label):.1f}' + (f' ({_gain(gains[label])})' if gains else '') for label in labels]
        lines.append(f'| {settings[row.setting]["title"]} | {ARMS[row.arm]} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def readme_block(out: Path) -> str:
    """Return what stands between README's marks, from the committed results.

    Raises:
        DataError: There are no results.
    """
    try:
        content = json.loads((out / 'results.json').read_text())
    except (OSError, ValueError) as error:
        raise DataError(f'{out} holds no results of the benchmark ({error})') from error
    return f'{BEGIN}\n{summary_table(content)}{END}'


def _notes(content: dict[str, Any], rows: Sequence[Row]) -> list[str]:
    worlds = content['plan']['worlds']
    first = rows[0].setting
    world = worlds[content['plan']['settings'][first]['world']]
    ours = (
        f'Ours: Car, moderate, AP40 on {world["test_frames"]} test frames of the embedded world that nothing was tuned '
        'on; mean ± standard deviation over seeds. Gains are paired by seed, with the 95 % interval over seeds and '
        'test sequences; bold where it excludes 0. All arms of a setting start from the same weights and take the same '
        'number of steps.'
    )
    notes = [ours]
    lead = teacher_lead(rows, first)
    if lead is not None:
        notes.append(f'The teacher scores {lead:.1f} times what the control does.')
    changes = [_late_note(content, name) for name in dict.fromkeys(row.setting for row in rows)]
    if any(changes):
        notes.append(
            'In the last third of their training the controls still changed on the validation split (mean and standard '
            f'error over seeds): {"; ".join(change for change in changes if change)}.'
        )
    return [' '.join(notes)]


def _late_note(content: dict[str, Any], setting: str) -> str:
    controls = [run for run in content['runs'] if (run['setting'], run['arm']) == (setting, CONTROL)]
    change, error = late_change(controls)
    title = content['plan']['settings'][setting]['title']
    if math.isnan(change):
        return ''
    return f'{title} {change:+.1f}' + ('' if math.isnan(error) else f' ± {error:.1f}')


def teacher_lead(rows: Sequence[Row], setting: str) -> float | None:
    """Return the teacher's primary score over the control's, or ``None`` without both."""
    means = {row.arm: row.mean(_FIRST) for row in rows if row.setting == setting}
    student = means.get(CONTROL, means.get(BASE))
    return means[TEACHER] / student if TEACHER in means and student else None


def _row(values: dict[str, Any]) -> Row:
    gain = {control: _intervals(parts) for control, parts in values['gain'].items()}
    return Row(**{**values, 'spread': _intervals(values['spread']), 'gain': gain})


def _intervals(parts: dict[str, dict[str, float]]) -> dict[str, Interval]:
    return {label: Interval(**part) for label, part in parts.items()}


def _two(controls: Sequence[str]) -> list[str | None]:
    return [*controls, None, None][:2]


def _gain_over(row: Row, control: str | None) -> str:
    if control is None or control not in row.gain:
        return ''
    text = _gain(row.gain[control][_FIRST])
    return text if control == CONTROL else f'{text} ({_SHORT[control]})'


def _score(row: Row, label: str) -> str:
    return f'{row.mean(label):.1f}' + ('' if len(row.seeds) < 2 else f' ± {row.std(label):.1f}')


def _gain(interval: Interval) -> str:
    text = f'{interval.value:+.1f} [{interval.low:+.1f}, {interval.high:+.1f}]'
    return f'**{text}**' if interval.real else text


def _number(value: float | None, decimals: int) -> str:
    return '' if value is None or math.isnan(value) else f'{value:.{decimals}f}'


def _csv(head: Sequence[str], lines: Any) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator='\n')
    writer.writerow(head)
    writer.writerows(lines)
    return buffer.getvalue()
