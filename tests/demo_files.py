"""A demo's folder as it is after its evaluation, made up: frames, training logs, scores and predictions."""

from __future__ import annotations

import json
from pathlib import Path

from kitti_files import write_folder, write_split

from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.models import CONTROL, DISTILLED, MODELS, STUDENT, TEACHER
from mono_distill.apis.demo.results import COLUMNS, DIFFICULTIES
from mono_distill.cli.main import main

SCORES = {TEACHER.name: 30.25, STUDENT.name: 8.5, CONTROL.name: 10.0, DISTILLED.name: 9.25}
PREDICTION = 'Car -1 -1 -0.10 {box} 1.50 1.60 4.00 {x:.2f} 1.65 {z:.2f} 0.10 {score:.2f}\n'


def write_kitti(root: Path, frames: int = 4) -> None:
    """Write and prepare a root whose first frame is for validation."""
    write_folder(root, training=frames)
    names = [f'{number:06d}' for number in range(frames)]
    for split, part in (('train', names[1:]), ('val', names[:1]), ('trainval', names)):
        write_split(root, split, *part)
    if main(['prepare', 'kitti', '--root', str(root), '--workers', '1']) != 0:
        raise RuntimeError('the frames of the test could not be prepared')


def write_log(work_dir: Path, values: dict[int, float], run: str = '20260101_000000', **terms: float) -> None:
    """Write what mmengine logs of a training; ``terms`` are added to every loss."""
    path = work_dir / run / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    rows = [
        {'loss': value + sum(terms.values()), 'loss_depth': value / 2, **terms, 'lr': 0.1, 'step': step}
        for step, value in values.items()
    ]
    path.write_text(''.join(json.dumps(row) + '\n' for row in rows))


def write_tested_demo(out: Path) -> DemoFolder:
    """Write everything the report is made from."""
    folder = DemoFolder(out)
    write_kitti(folder.kitti)
    for model in MODELS:
        terms = {'loss_kd_spearman': 0.5, 'loss_kd_response': 1.0} if model is DISTILLED else {}
        write_log(folder.work_dir(model.name), {10: 50.0, 20: 20.0, 30: 5.0}, **terms)
        scores = {
            key.format(difficulty): SCORES[model.name] + column
            for column, key in enumerate(COLUMNS.values())
            for difficulty in DIFFICULTIES
        }
        run = folder.test_dir(model.name) / '20260101_000000'
        run.mkdir(parents=True)
        (run / '20260101_000000.json').write_text(json.dumps(scores | {'time': 0.1}) + '\n')
        folder.predictions(model.name).mkdir()
        found = [
            PREDICTION.format(box='100 100 200 200', x=x, z=z, score=s) for x, z, s in ((1, 12, 0.9), (2, 20, 0.01))
        ]
        (folder.predictions(model.name) / '000000.txt').write_text(''.join(found))
        folder.add(model.name, seconds=83.4, finished=True, command=f'mono-distill train <{model.name}> & more')
    return folder
