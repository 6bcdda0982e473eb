"""The stages of the demo as data: which commands run, beside which others, and what they leave behind."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.frames import counted_cars, info_file, label_count, split_frames, splits
from mono_distill.apis.demo.models import CONTROL, DISTILLED, MODELS, STUDENT, TEACHER, DemoModel
from mono_distill.apis.demo.options import DemoOptions, schedule
from mono_distill.apis.demo.progress import Measure, files_in, test_batches, training_steps
from mono_distill.apis.demo.report import write_report

# A training that is interrupted repeats at most so many steps, which is some seconds.
CHECKPOINT_STEPS = 50
# KITTI's code scores n counted objects at most 100 (n - 1) / 40: few of them are counted several times.
_ENOUGH_CARS = 100
_REPEAT = 41
# Place of TeacherCheckHook in the custom hooks of the distillation's config.
CHECK_HOOK = 4


@dataclass(frozen=True)
class Job:
    """One ``mono-distill`` command.

    Attributes:
        name: Name of its log and of its record.
        arguments: What follows ``mono-distill`` on the command line.
        measure: How far it is.
        product: What exists when it is finished.
        environment: Variables to set for it.
    """

    name: str
    arguments: tuple[str, ...]
    measure: Measure
    product: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command as it can be typed."""
        variables = [f'{name}={shlex.quote(value)}' for name, value in self.environment.items()]
        return ' '.join([*variables, shlex.join(['mono-distill', *self.arguments])])


@dataclass(frozen=True)
class Stage:
    """Jobs that may run side by side, after all stages before.

    Attributes:
        name: Short name.
        title: What it does, for people.
        jobs: Makes the commands, once the stages before are finished.
        call: What it does in this process, after the commands.
    """

    name: str
    title: str
    jobs: Callable[[DemoOptions, DemoFolder], list[Job]] | None = None
    call: Callable[[DemoOptions, DemoFolder], None] | None = None

    @property
    def record(self) -> str:
        """Name of its record."""
        return f'stage_{self.name}'


def all_stages(options: DemoOptions) -> list[Stage]:
    """Return the stages of a run in their order."""
    world = Stage('world', 'generate the driving world (images, LiDAR, labels)', jobs=_world)
    return [
        *([world] if options.kitti_root is None else []),
        Stage('prepare', 'prepare KITTI infos and LiDAR depth maps', jobs=_prepare),
        Stage('train', 'train the teacher (LiDAR depth) and the student (image)', jobs=_train),
        Stage('distil', 'distil with MonoSKD; beside it train the student on, without a teacher', jobs=_distil),
        Stage('test', 'evaluate on the validation frames', jobs=_test),
        Stage('report', 'draw pictures and write the report', call=write_report),
    ]


def _world(options: DemoOptions, folder: DemoFolder) -> list[Job]:
    arguments = ['synth', 'kitti', '--out', str(folder.kitti), '--frames', str(options.frames)]
    arguments += ['--seed', str(options.seed), '--image-scale', str(options.image_scale)]
    arguments += ['--workers', str(options.workers), '--resume']
    measure = files_in(folder.kitti / 'training' / 'label_2', '*.txt', options.frames)
    return [Job('world', tuple(arguments), measure, folder.kitti / 'training' / 'label_2')]


def _prepare(options: DemoOptions, folder: DemoFolder) -> list[Job]:
    source = options.kitti_root
    arguments = ['prepare', 'kitti', '--root', str(source or folder.kitti), '--workers', str(options.workers)]
    if source is not None:
        arguments += ['--out', str(folder.kitti)]
    frames = label_count(source or folder.kitti)
    measure = files_in(folder.kitti / 'training' / 'depth_dense', '*.png', frames)
    return [Job('prepare', tuple(arguments), measure, folder.kitti / 'prepare_report.json')]


def _train(options: DemoOptions, folder: DemoFolder) -> list[Job]:
    return [_training(model, options, folder, options.train_steps) for model in (TEACHER, STUDENT)]


def _distil(options: DemoOptions, folder: DemoFolder) -> list[Job]:
    start = f'load_from={folder.work_dir(STUDENT.name)}'
    teacher = f'model.teachers.depth.checkpoint={folder.work_dir(TEACHER.name)}'
    # After a few steps the teacher need not be ahead: the check may warn, not stop the demo.
    check = f'custom_hooks.{CHECK_HOOK}.on_failure=warn'
    return [
        _training(DISTILLED, options, folder, options.distil_steps, teacher, start, check),
        _training(CONTROL, options, folder, options.distil_steps, start),
    ]


def _training(model: DemoModel, options: DemoOptions, folder: DemoFolder, steps: int, *cfg_options: str) -> Job:
    train, _ = splits(folder.kitti)
    plan = schedule(len(split_frames(folder.kitti, train)), steps)
    work_dir = folder.work_dir(model.name)
    arguments = ['train', model.config, '--work-dir', str(work_dir), '--seed', str(options.seed), '--resume']
    arguments += [
        '--cfg-options',
        *cfg_options,
        f'train_cfg.max_epochs={plan.epochs}',
        # The models are evaluated once, afterwards.
        f'train_cfg.val_begin={plan.epochs + 1}',
        f'param_scheduler.1.end={plan.epochs}',
        'default_hooks.logger.interval=10',
        f'default_hooks.checkpoint.interval={CHECKPOINT_STEPS}',
        'default_hooks.checkpoint.by_epoch=False',
        'default_hooks.checkpoint.save_optimizer=True',
        # mmengine removes an old checkpoint before it writes the new one: with a single one, a kill might leave none.
        'default_hooks.checkpoint.max_keep_ckpts=2',
        *_own_frames('train', options, folder),
        *_own_frames('val', options, folder),
    ]
    if not native_bfloat16():
        arguments.append('optim_wrapper.type=OptimWrapper')
    measure = training_steps(plan.epochs, plan.steps)
    return Job(model.name, tuple(arguments), measure, work_dir / 'last_checkpoint', _environment(folder))


def _test(options: DemoOptions, folder: DemoFolder) -> list[Job]:
    _, val = splits(folder.kitti)
    jobs = []
    for model in MODELS:
        predictions = folder.predictions(model.name)
        record = folder.work_dir(model.name) / 'last_checkpoint'
        checkpoint = record.parent / Path(record.read_text().strip()).name
        arguments = ['test', model.test_config, str(checkpoint), '--work-dir', str(folder.test_dir(model.name))]
        arguments += [
            '--cfg-options',
            f'test_dataloader.dataset.data_root={folder.kitti}',
            f'test_dataloader.dataset.ann_file={info_file(folder.kitti, val).name}',
            f'test_evaluator.ann_file={info_file(folder.kitti, val)}',
            f'test_evaluator.submission_prefix={predictions}',
            'default_hooks.logger.interval=2',
        ]
        if options.kitti_root is not None:
            arguments += _scales('test', options)
        if counted_cars(split_frames(folder.kitti, val), options.image_scale) < _ENOUGH_CARS:
            arguments.append(f'test_evaluator.repeat={_REPEAT}')
        jobs.append(Job(f'test_{model.name}', tuple(arguments), test_batches, predictions, _environment(folder)))
    return jobs


def _own_frames(kind: str, options: DemoOptions, folder: DemoFolder) -> list[str]:
    """Return what a data loader, and for validation the metric, must know of frames that were not generated."""
    if options.kitti_root is None:
        return []
    path = info_file(folder.kitti, splits(folder.kitti)[kind == 'val'])
    ann_files = [f'{kind}_dataloader.dataset.ann_file={path.name}']
    if kind == 'val':
        ann_files.append(f'val_evaluator.ann_file={path}')
    return [*ann_files, *_scales(kind, options)]


def _scales(kind: str, options: DemoOptions) -> list[str]:
    parts = [f'{kind}_dataloader.dataset', *([] if kind == 'train' else [f'{kind}_evaluator'])]
    return [f'{part}.image_scale={options.image_scale}' for part in parts]


def _environment(folder: DemoFolder) -> dict[str, str]:
    return {'SYNTH_ROOT': str(folder.world)}


def native_bfloat16() -> bool:
    """Whether the processor computes in bfloat16; others imitate it and take longer than with float32."""
    try:
        flags = Path('/proc/cpuinfo').read_text(encoding='utf-8')
    except OSError:
        return False
    return 'avx512_bf16' in flags or 'amx_bf16' in flags
