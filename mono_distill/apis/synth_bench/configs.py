"""From a run of the plan to the config that trains it: the configs users have, and what the arm changes in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mono_distill.apis.launch import load_config
from mono_distill.apis.synth_bench.plan import (
    BASE,
    FEATURE_ARMS,
    PSEUDO,
    SHUFFLED,
    TEACHERS,
    Plan,
    Run,
    Setting,
)
from mono_distill.apis.synth_bench.poor_teachers import SHUFFLED_INFOS
from mono_distill.utils.errors import ConfigError

STUDENT_CONFIG = 'mono_distill::students/monodle_synth.py'
TEACHER_CONFIG = 'mono_distill::teachers/monodle_depth_synth.py'
DISTILL_CONFIG = 'mono_distill::monoskd_synth.py'
MONODISTILL_CONFIG = 'mono_distill::monodistill_monodle_synth.py'
MONOSTL_CONFIG = 'mono_distill::monostl_monodle_synth.py'
PSEUDO_INFOS = 'kitti_infos_pseudo_{setting}.pkl'
TEST_DETECTIONS = 'test.npz'

# Distillation losses of the taught arms.
_LOSSES = {'features': ('spearman', 'affinity'), 'response': ('response',)}
# In four images, two carry labels; see MixedSourcesSampler.
_MIXTURE = (2, 2)


@dataclass(frozen=True)
class Folders:
    """Where the benchmark keeps things.

    Attributes:
        work: Data, runs and logs.
    """

    work: Path

    @property
    def plan(self) -> Path:
        """The plan's file."""
        return self.work / 'plan.json'

    def data(self, world: str) -> Path:
        """Root of a world, with ``train`` and ``test`` below it."""
        return self.work / 'data' / world

    def run(self, run: Run) -> Path:
        """Folder of a run."""
        return self.work / 'runs' / run.id

    def result(self, run: Run) -> Path:
        """Its result, written when everything else is."""
        return self.run(run) / 'result.json'

    def checkpoint(self, run: Run) -> Path:
        """Its last weights, under a name that does not depend on the number of epochs."""
        return self.run(run) / 'weights.pth'


def config_of(run: Run, plan: Plan, folders: Folders) -> Config:
    """Return the complete config of a run; ``mono-distill train`` takes it as it is.

    Raises:
        ConfigError: The arm is no training.
    """
    setting = plan.settings[run.setting]
    if run.arm == PSEUDO:
        raise ConfigError(f'{run.id} is no training: it writes the detections of the teacher as labels')
    config = load_config(_base_config(run.arm), work_dir=str(folders.run(run)))
    _set_data(config, setting, folders)
    _set_schedule(config, run, setting)
    _set_widths(config, setting)
    for needed in plan.needs(run):
        if needed.arm == BASE:
            config.load_from = str(folders.checkpoint(needed))
        elif needed.arm in TEACHERS:
            config.model.teachers.depth.checkpoint = str(folders.checkpoint(needed))
    _ARM_EDITS.get(run.arm, _nothing)(config, setting)
    if run.arm in _ARM_DATA:
        _ARM_DATA[run.arm](config, setting, (plan.settings[run.setting].start or run.setting))
    config.test_evaluator.detections_file = str(folders.run(run) / TEST_DETECTIONS)
    config.log_level = 'WARNING'
    config.randomness = dict(seed=run.seed)
    return config


def _base_config(arm: str) -> str:
    if arm in TEACHERS:
        return TEACHER_CONFIG
    if arm.startswith(('monostl', 'dasfd')):
        return MONOSTL_CONFIG
    if arm.startswith(('monodistill', 'l2')):
        return MONODISTILL_CONFIG
    return STUDENT_CONFIG if arm in (BASE, 'control', 'pseudo_labels', 'all_labels') else DISTILL_CONFIG


def _set_data(config: Config, setting: Setting, folders: Folders) -> None:
    """Point the config at the world, and let the labelled frames fill the epoch."""
    root = folders.data(setting.world)
    config.train_dataloader.dataset.data_root = str(root / 'train')
    config.val_dataloader.dataset.data_root = str(root / 'train')
    config.test_dataloader.dataset.data_root = str(root / 'test')
    config.val_evaluator.ann_file = str(root / 'train' / Path(config.val_evaluator.ann_file).name)
    config.test_evaluator.ann_file = str(root / 'test' / Path(config.test_evaluator.ann_file).name)
    labelled = config.train_dataloader.dataset
    if setting.labelled is not None:
        labelled.indices = setting.labelled
        times = -(-setting.epoch_frames // setting.labelled)
        config.train_dataloader.dataset = dict(type='mono_distill.RepeatDataset', times=times, dataset=labelled)


def _set_schedule(config: Config, run: Run, setting: Setting) -> None:
    """Set the number of epochs and the learning rate; validate six times."""
    first = {BASE: setting.base_epochs, **dict.fromkeys(TEACHERS, setting.teacher_epochs)}
    epochs = first.get(run.arm, setting.arm_epochs)
    config.optim_wrapper.optimizer.lr = setting.lr if run.arm in first else setting.arm_lr
    config.train_cfg.update(max_epochs=epochs, val_interval=-(-epochs // 6))
    config.param_scheduler[-1].update(end=epochs)
    # The teacher's lead is a result here (TeacherCheckHook would measure it anew in every run).
    config.custom_hooks = [hook for hook in config.custom_hooks if not hook.type.endswith('TeacherCheckHook')]


def _set_widths(config: Config, setting: Setting) -> None:
    """Set the width of student, teacher and adapters."""
    widths = tuple(setting.base_channels * factor for factor in (1, 2, 4, 8))
    model = config.model
    for detector in (model.get('student', model), *([model] if 'backbone' in model else [])):
        detector.backbone.base_channels = setting.base_channels
        detector.neck.in_channels = widths
        detector.bbox_head.in_channels = widths[0]
    if 'teachers' in model:
        teacher = Config.fromfile(_shipped(TEACHER_CONFIG)).model
        teacher.backbone.base_channels = setting.base_channels
        teacher.neck.in_channels = widths
        teacher.bbox_head.in_channels = widths[0]
        model.teachers.depth = dict(detector=teacher.to_dict(), checkpoint=None)
        _set_distillation(model, setting, widths)


def _set_distillation(model: Any, setting: Setting, widths: tuple[int, ...]) -> None:
    """Set the adapters' widths and the weights of MonoSKD's losses; MonoDistill and MonoSTL keep the published ones."""
    if 's_fused' in model.adapters:
        model.adapters.s_fused.update(channels=widths[1:], mid_channels=widths[2])
        model.adapters.s_adapted.channels = widths[1:]
        return
    model.adapters.s_adapted.channels = widths
    for name, loss in model.losses.items():
        loss.weight = setting.weights[name]


def _shipped(name: str) -> Path:
    from mono_distill.distillers.build import config_roots

    package, path = name.split('::')
    return next(root / path for root in config_roots(package) if (root / path).is_file())


def _nothing(_config: Config, _setting: Setting) -> None:
    """The arm is the config."""


def _rank(config: Config, _setting: Setting) -> None:
    config.model.losses.spearman.form = 'rank'


def _only(losses: tuple[str, ...]) -> Any:
    def edit(config: Config, _setting: Setting) -> None:
        for name in set(config.model.losses) - set(losses):
            del config.model.losses[name]
        if losses == ('response',):
            del config.model.adapters
            for tap in ('s', 't'):
                del config.model.taps[tap]
        else:
            for tap in ('s_head', 't_head', 'targets'):
                del config.model.taps[tap]

    return edit


def _on_objects(arm: str) -> Any:
    """Features on objects alone, in one of their forms."""

    def edit(config: Config, _setting: Setting) -> None:
        model = config.model
        for name in set(model.losses) - {'feature'}:
            del model.losses[name]
        for tap in ('s_head', 't_head', 't_log_scale'):
            model.taps.pop(tap, None)
        # With 30 times the weight they outweigh the student's own losses.
        model.losses.feature.weight *= 300 if '_heavy' in arm else 30 if '_strong' in arm else 1
        if '_direct' in arm:
            # An adapter could learn to say whatever the teacher says; without one the student must.
            del model.adapters
            model.losses.feature.inputs.student = 's'

    return edit


def _shuffled(config: Config, _setting: Setting) -> None:
    config.train_dataloader.dataset.ann_file = SHUFFLED_INFOS


def _backbone(config: Config, _setting: Setting) -> None:
    config.model.taps.update(s='student:backbone', t='depth:backbone')


def _dense_truth(config: Config, setting: Setting) -> None:
    """The response loss against maps painted from the annotations, and no teacher."""
    _only(('response',))(config, setting)
    _paint_truth(config, setting)
    config.model.teachers = dict()


def _paint_truth(config: Config, _setting: Setting) -> None:
    """The response loss compares with the annotations instead of the teacher's response."""
    del config.model.taps['t_head']
    config.model.targets = dict(truth=dict(type='mono_distill.DenseTruthMaps', inputs=dict(targets='targets')))
    config.model.losses.response.inputs.teacher = 'truth'


def _pseudo_regions(config: Config, _setting: Setting) -> None:
    """The response loss looks at annotated objects, and in unlabelled frames at the teacher's detections."""
    inputs = dict(targets='targets', teacher='t_head', data_samples='data_samples')
    config.model.targets = dict(objects=dict(type='mono_distill.PseudoObjects', inputs=inputs))
    config.model.losses.response.inputs.targets = 'objects'


_ARM_EDITS = {
    'monoskd_rank': _rank,
    'features': _only(_LOSSES['features']),
    'response': _only(_LOSSES['response']),
    'monoskd_backbone': _backbone,
    'dense_gt': _dense_truth,
    'dense_features': _paint_truth,
    'monoskd_unlabelled': _pseudo_regions,
    SHUFFLED: _shuffled,
    **{arm: _on_objects(arm) for arm in FEATURE_ARMS},
}


def _mix(config: Config, setting: Setting, other: dict[str, Any]) -> None:
    """Every batch holds labelled frames and as many others."""
    loader = config.train_dataloader
    labelled = loader.dataset.dataset.to_dict()
    loader.dataset = dict(type='ConcatDataset', datasets=[labelled, {**labelled, **other}])
    loader.sampler = dict(
        type='mono_distill.MixedSourcesSampler', pattern=_MIXTURE, length=setting.epoch_frames, shuffle=True
    )


def _unlabelled_data(config: Config, setting: Setting, _start: str) -> None:
    _mix(config, setting, dict(labelled=False, indices=_rest(setting)))


def _pseudo_data(config: Config, setting: Setting, start: str) -> None:
    _mix(config, setting, dict(ann_file=PSEUDO_INFOS.format(setting=start), indices=None))


def _all_labels(config: Config, _setting: Setting, _start: str) -> None:
    whole = config.train_dataloader.dataset.dataset
    whole.indices = None
    config.train_dataloader.dataset = whole


def _rest(setting: Setting) -> list[int]:
    return list(range(int(setting.labelled or 0), setting.epoch_frames))


_ARM_DATA = {
    'monoskd_unlabelled': _unlabelled_data,
    'pseudo_labels': _pseudo_data,
    'monoskd_pseudo': _pseudo_data,
    'all_labels': _all_labels,
}
