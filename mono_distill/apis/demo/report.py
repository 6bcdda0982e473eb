"""The last stage: pictures, numbers and one HTML page with all of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mono_distill.apis.demo import page
from mono_distill.apis.demo.chart import Line, line_chart
from mono_distill.apis.demo.curves import detection_loss, distillation_losses, read_scalars, term
from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.frames import counted_cars, split_frames, splits
from mono_distill.apis.demo.models import CONTROL, DISTILLED, MODELS, STUDENT, TEACHER
from mono_distill.apis.demo.options import DemoOptions
from mono_distill.apis.demo.pictures import DEPTH_TITLE, FramePictures, draw_frames, legend
from mono_distill.apis.demo.results import COLUMNS, DIFFICULTIES, Row, read_rows
from mono_distill.utils.atomic import atomic_path
from mono_distill.version import __version__

TITLE = 'mono_distill demo: teaching a camera detector from LiDAR'
FRAMES_SHOWN = 4
_PACKAGES = ('torch', 'mmengine', 'mmcv-lite', 'mmcv', 'mmdet', 'mmdet3d', 'numpy', 'opencv-python-headless')
_PRIMARY = '3D, IoU 0.5'

_LIMIT_SEED = """\
Whether distillation helps. One seed was trained; with another, the distilled student and its control can change \
places. That question needs several seeds, a test split and more controls."""
_LIMIT_SAME_FRAMES = """\
How well the detectors do on other frames: training and evaluation used the same ones."""
_LIMIT_FEW_FRAMES = """\
Small differences: another choice of so few validation frames would move every score by some points."""
_LIMIT_WORLD = """\
Anything about KITTI or a real road: the world is made up."""
_LIMIT_SIZE = """\
How good such detectors can get: they have about a million parameters, see small images, and stop after minutes, long \
before they have learnt what they could."""
_LIMIT_SETTINGS = """\
The published settings of MonoSKD: model, image size and schedule are cut down to fit the time."""


def write_report(options: DemoOptions, folder: DemoFolder) -> None:
    """Write pictures, ``results.json`` and ``report.html``.

    Raises:
        DataError: Scores, predictions or frames are missing.
    """
    rows = read_rows(folder)
    facts = gather(options, folder)
    content = {'facts': facts, 'scores': {row.model.name: row.scores for row in rows}}
    with atomic_path(folder.results) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + '\n')
    sections = [
        *_introduction(facts),
        _table(rows, facts),
        _curves(folder),
        _frames(draw_frames(folder, FRAMES_SHOWN, options.image_scale), facts),
        _making(facts),
        _limits(facts),
    ]
    with atomic_path(folder.report) as temporary:
        temporary.write_text(page.page(TITLE, sections), encoding='utf-8')


def gather(options: DemoOptions, folder: DemoFolder) -> dict[str, Any]:
    """Return what the report says about how it was made, as plain values."""
    train, val = (split_frames(folder.kitti, split) for split in splits(folder.kitti))
    jobs = ['world'] if options.kitti_root is None else []
    jobs += ['prepare', *(model.name for model in MODELS), *(f'test_{model.name}' for model in MODELS)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    return {
        'seed': options.seed,
        'generated': options.kitti_root is None,
        'train_frames': len(train),
        'val_frames': len(val),
        'val_cars': counted_cars(val, options.image_scale),
        'same_frames': train.keys() == val.keys(),
        'workers': options.workers,
        'machine': f'{platform.system()} {platform.machine()}, {cores} cores',
        'versions': {'python': platform.python_version(), 'mono_distill': __version__, **_versions()},
        'jobs': {job: folder.entry(job) for job in jobs},
    }


def _introduction(facts: dict[str, Any]) -> list[str]:
    source = (
        'The driving world of this page does not exist: the package made its streets and cars, and rendered them with '
        'a simulated camera and a simulated LiDAR into the format of the KITTI benchmark.'
        if facts['generated']
        else 'The frames are yours, in the format of the KITTI benchmark.'
    )
    return [
        page.section(
            'What this is',
            page.paragraph(source, 'lead'),
            page.paragraph(
                'A teacher learns to find cars in depth maps made from LiDAR scans. A student of the same architecture '
                'learns it from the camera image alone. Then the student is trained on while the teacher, now frozen, '
                'shows it the features and the answers it has for the same moment: cross-modal distillation, here by '
                'MonoSKD. The distilled student needs a camera and nothing else.'
            ),
            page.paragraph(
                f'Trained on {facts["train_frames"]} frames, evaluated on {facts["val_frames"]} '
                + ('of the same frames.' if facts['same_frames'] else 'frames of other drives.')
            ),
        )
    ]


def _table(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    return page.section(
        'Results',
        _score_table(rows, 'moderate', facts),
        *(page.paragraph(text) for text in _reading(rows)),
        page.details(
            'Easy and hard objects',
            *(_score_table(rows, difficulty, facts) for difficulty in DIFFICULTIES if difficulty != 'moderate'),
        ),
    )


def _reading(rows: Sequence[Row]) -> list[str]:
    """Say what the numbers mean, and what they do not."""
    scores = {row.model.name: dict(zip(COLUMNS, row.cells(), strict=True))[_PRIMARY] for row in rows}
    teacher, student = scores[TEACHER.name], scores[STUDENT.name]
    if teacher > student:
        lead = f'ahead by {teacher - student:.1f} points; that lead is what there is to teach.'
    else:
        lead = 'not ahead: there is nothing to teach here. More frames or more steps are needed.'
    gain = scores[DISTILLED.name] - scores[CONTROL.name]
    control = (
        'The distilled student has to be compared with the student that was trained on for the same number of steps, '
        f'from the same weights, without a teacher: {gain:+.1f} points. This is one seed; a difference of some points '
        'comes and goes with the seed, so nothing follows from it about the gain.'
    )
    return [
        f'{_PRIMARY}: the teacher reaches {teacher:.1f} and the student {student:.1f}. The teacher is {lead}',
        control,
    ]


def _score_table(rows: Sequence[Row], difficulty: str, facts: dict[str, Any]) -> str:
    caption = (
        f'Cars, {difficulty}: average precision (AP40, percent) of boxes in space (3D) and on the ground (BEV), on '
        f'{facts["val_frames"]} frames with {facts["val_cars"]} counted cars (at moderate)'
    )
    cells = [(row.model.title, row.model.note, [f'{value:.1f}' for value in row.cells(difficulty)]) for row in rows]
    return page.table(caption, ['Detector', *COLUMNS], cells)


def _curves(folder: DemoFolder) -> str:
    scalars = {model.name: read_scalars(folder.work_dir(model.name)) for model in MODELS}
    first = [
        Line('teacher', detection_loss(scalars[TEACHER.name]), 0),
        Line('student', detection_loss(scalars[STUDENT.name]), 1),
    ]
    second = [
        Line('student, trained on', detection_loss(scalars[CONTROL.name]), 2),
        Line('distilled student', detection_loss(scalars[DISTILLED.name]), 3),
    ]
    depth = [
        Line(name, term(scalars[model.name], 'loss_depth'), style)
        for style, (name, model) in enumerate((('teacher', TEACHER), ('student', STUDENT)))
    ]
    terms = distillation_losses(scalars[DISTILLED.name])
    return page.section(
        'Loss curves',
        page.group(
            'charts',
            [
                line_chart('Detection loss, teacher and student', first),
                line_chart('Depth loss, teacher and student', depth),
                line_chart('Detection loss, continued from the student', second),
                line_chart(
                    'Terms of the distillation',
                    [Line(name, curve, 2 + n) for n, (name, curve) in enumerate(terms.items())],
                ),
            ],
        ),
        page.paragraph(
            'Means over the last 50 steps. Both continued trainings begin with a high learning rate again, so their '
            'loss rises before it falls. The detection loss of the distilled student leaves out the terms of the '
            'distillation, which have a chart of their own. Points where a loss is not positive are left out.',
            'soft',
        ),
    )


def _frames(frames: Sequence[FramePictures], facts: dict[str, Any]) -> str:
    split = 'frames that were trained on' if facts['same_frames'] else 'validation frames'
    parts = [page.paragraph(f'{len(frames)} {split}. {legend()}')]
    for frame in frames:
        parts += [f'<h3>Frame {frame.sample_id}</h3>', page.group('cameras', _cameras(frame)), _views(frame)]
    return page.section('Frames side by side', *parts)


def _cameras(frame: FramePictures) -> list[str]:
    where = f'frame {frame.sample_id}, camera'
    pictures = [
        page.picture(one.camera, one.title, f'{where}. {one.text}', suffix='.jpg', note=one.note)
        for one in frame.panels
    ]
    # Beside the image, so that both inputs can be compared.
    text = f'frame {frame.sample_id}: distances in colours'
    note = 'what the teacher sees: red is near, blue far, black missing'
    return [*pictures[:1], page.picture(frame.depth, DEPTH_TITLE, text, suffix='.png', note=note), *pictures[1:]]


def _views(frame: FramePictures) -> str:
    where = f'frame {frame.sample_id}, from above'
    return page.group(
        'views', [page.picture(one.bev, one.title, f'{where}. {one.text}', suffix='.png') for one in frame.panels]
    )


def _making(facts: dict[str, Any]) -> str:
    times = [(name, '', [clock(entry['seconds'])]) for name, entry in facts['jobs'].items()]
    versions = [(name, '', [number]) for name, number in facts['versions'].items()]
    return page.section(
        'How it was made',
        page.paragraph(
            f'Seed {facts["seed"]} for the world and for every training, {facts["workers"]} commands at a time, on '
            f'{facts["machine"]}. The evaluated weights are the last ones of each training; nothing was selected.'
        ),
        page.table('Time of every command', ['Command', 'min:s'], times),
        page.paragraph('The commands, in order; they can be run by hand in the same folder:'),
        page.code([entry['command'] for entry in facts['jobs'].values() if entry['command']]),
        page.table('Versions', ['Package', 'Version'], versions),
    )


def _limits(facts: dict[str, Any]) -> str:
    limits = [_LIMIT_SEED, _LIMIT_SAME_FRAMES if facts['same_frames'] else _LIMIT_FEW_FRAMES]
    limits += [_LIMIT_WORLD] if facts['generated'] else []
    return page.section('What it does not show', page.bullets([*limits, _LIMIT_SIZE, _LIMIT_SETTINGS]))


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds.

    Example:
        >>> clock(83.4)
        '1:23'
    """
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
