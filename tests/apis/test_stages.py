from pathlib import Path

import pytest
import torch

from mono_distill.apis import launch
from mono_distill.apis.stages import plan_stages, run_stages
from mono_distill.utils.errors import CheckpointError, ConfigError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
LOOP = 'train_cfg = dict(max_epochs=3)\n'


@pytest.fixture
def configs(tmp_path, monkeypatch):
    """Configs of a teacher, an assistant, a student and their distillation; the current folder is empty."""
    folder = tmp_path / 'configs'
    write(folder / 'teachers/lidar.py', "model = dict(type='Lidar')\n" + LOOP)
    write(folder / 'assistants/assistant.py', "model = dict(type='Assistant')\n" + LOOP)
    write(folder / 'students/camera.py', "model = dict(type='Camera')\ncustom_hooks = [dict(type='EMAHook')]\n" + LOOP)
    write_distillation(folder)
    monkeypatch.chdir(tmp_path)
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_distillation(folder, lidar="checkpoint='work_dirs/lidar'", start="'work_dirs/camera'"):
    write(
        folder / 'ours.py',
        f"""
model = dict(
    type='mono_distill.CrossModalDistiller',
    student=dict(type='Camera'),
    teachers=dict(
        lidar=dict(config='{folder}/teachers/lidar.py', {lidar}),
        assistant=dict(config='{folder}/assistants/assistant.py', checkpoint='work_dirs/assistant'),
    ),
)
custom_hooks = [dict(type='mono_distill.TeacherCheckHook', metric='m')]
load_from = {start}
{LOOP}""",
    )


def plan(configs, **options):
    return plan_stages(str(configs / 'ours.py'), Path('out'), **options)


class Trainings:
    """Stands in for mmengine: remembers what is trained, and writes its checkpoint."""

    def __init__(self, monkeypatch, stop_in=None):
        self.configs = []
        self.stop_in = stop_in
        monkeypatch.setattr(launch, 'build_runner', self)

    def __call__(self, config):
        self.configs.append(config)
        return self

    def train(self):
        config = self.configs[-1]
        folder = Path(config.work_dir)
        if folder.name == self.stop_in:
            checkpoint(folder, 1)
            raise KeyboardInterrupt
        checkpoint(folder, config.train_cfg.max_epochs)

    @property
    def names(self):
        return [Path(config.work_dir).name for config in self.configs]


def checkpoint(folder, epoch):
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({}, folder / f'epoch_{epoch}.pth')
    (folder / 'last_checkpoint').write_text(str(folder / f'epoch_{epoch}.pth'))


def test_teachers_come_first_then_the_student_then_the_distillation(configs):
    assert [(stage.role, str(stage.folder)) for stage in plan(configs)] == [
        ('teacher lidar', 'out/lidar'),
        ('teacher assistant', 'out/assistant'),
        ('student', 'out/camera'),
        ('distillation', 'out/ours'),
    ]


def test_the_distillation_finds_what_was_trained(configs, monkeypatch):
    trained = Trainings(monkeypatch)
    run_stages(plan(configs))
    config = trained.configs[-1]
    assert {name: teacher.checkpoint for name, teacher in config.model.teachers.items()} == {
        'lidar': 'out/lidar',
        'assistant': 'out/assistant',
    }
    assert config.load_from == 'out/camera'
    assert trained.names == ['lidar', 'assistant', 'camera', 'ours']


def test_what_is_finished_is_skipped(configs, monkeypatch):
    checkpoint(Path('out/lidar'), 3)
    checkpoint(Path('out/camera'), 3)
    trained, said = Trainings(monkeypatch), []
    run_stages(plan(configs), say=said.append)
    assert trained.names == ['assistant', 'ours']
    assert said[0] == '[1/4] teacher lidar: lidar: done before (out/lidar/epoch_3.pth)'
    run_stages(plan(configs))
    assert trained.names == ['assistant', 'ours']


def test_an_interrupted_training_goes_on_and_nothing_is_done_twice(configs, monkeypatch):
    trained, stages = Trainings(monkeypatch, stop_in='assistant'), plan(configs)
    with pytest.raises(KeyboardInterrupt):
        run_stages(stages)
    assert trained.names == ['lidar', 'assistant']
    trained = Trainings(monkeypatch)
    run_stages(plan(configs))
    assert trained.names == ['assistant', 'camera', 'ours']
    assert trained.configs[0].resume is True
    assert trained.configs[0].load_from == 'out/assistant/epoch_1.pth'


def test_a_longer_training_than_the_one_that_is_done_goes_on(configs):
    checkpoint(Path('out/lidar'), 3)
    assert plan(configs)[0].state() == 'finished'
    assert plan(configs, all_options={'train_cfg.max_epochs': 4})[0].state() == 'begun'


def test_a_training_by_steps_is_finished_by_steps(configs):
    write(configs / 'teachers/lidar.py', "model = dict(type='Lidar')\ntrain_cfg = dict(max_iters=500)\n")
    folder = Path('out/lidar')
    folder.mkdir(parents=True)
    for steps, state in ((400, 'begun'), (500, 'finished')):
        (folder / f'iter_{steps}.pth').touch()
        (folder / 'last_checkpoint').write_text(f'iter_{steps}.pth')
        assert plan(configs)[0].state() == state


def test_a_checkpoint_that_is_gone_is_named(configs):
    checkpoint(Path('out/lidar'), 3)
    Path('out/lidar/epoch_3.pth').unlink()
    with pytest.raises(CheckpointError, match=r'epoch_3\.pth, which is gone'):
        plan(configs)[0].state()


@pytest.mark.parametrize('source', ["checkpoint='https://example.org/a.pth'", 'allow_random=True'])
def test_a_teacher_that_needs_no_training_is_not_trained(configs, source):
    write_distillation(configs, lidar=source)
    stages = plan(configs)
    assert [stage.name for stage in stages] == ['assistant', 'camera', 'ours']
    assert 'model.teachers.lidar.checkpoint' not in stages[-1].options


def test_a_file_is_taken_as_it_is(configs):
    torch.save({}, 'lidar.pth')
    write_distillation(configs, lidar="checkpoint='lidar.pth'")
    assert [stage.name for stage in plan(configs)] == ['assistant', 'camera', 'ours']


def test_a_work_directory_elsewhere_stays_there(configs, tmp_path):
    write_distillation(configs, lidar=f"checkpoint='{tmp_path}/mine/lidar'")
    assert plan(configs)[0].folder == tmp_path / 'mine/lidar'


def test_the_config_of_the_work_directorys_name_trains_it(configs):
    """STXD's teacher also encodes past clouds, with weights that were trained without."""
    write(configs / 'teachers/plain.py', "model = dict(type='Lidar')\n" + LOOP)
    write_distillation(configs, lidar="checkpoint='work_dirs/plain'")
    assert plan(configs)[0].path == f'{configs}/teachers/plain.py'


def test_settings_are_for_the_distillation_or_for_all(configs):
    stages = plan(configs, options={'train_cfg.max_epochs': 5}, all_options={'train_cfg.max_epochs': 2, 'x': 1})
    assert [stage.config().train_cfg.max_epochs for stage in stages] == [2, 2, 2, 5]
    assert [stage.config().x for stage in stages] == [1] * 4


def test_the_control_is_the_plain_student_with_the_schedule_of_the_distillation(configs, monkeypatch):
    trained = Trainings(monkeypatch)
    stages = plan(configs, control=True, options={'train_cfg.max_epochs': 5})
    run_stages(stages)
    assert (stages[-1].role, trained.names[-1]) == ('control', 'ours_control')
    control = trained.configs[-1]
    assert control.model == dict(type='Camera')
    assert control.custom_hooks == [dict(type='EMAHook')]
    assert (control.load_from, control.train_cfg.max_epochs) == ('out/camera', 5)


def test_a_control_needs_a_student_to_start_from(configs):
    write_distillation(configs, start='None')
    with pytest.raises(ConfigError, match='control'):
        plan(configs, control=True)


@pytest.mark.parametrize(
    ('change', 'error', 'message'),
    [
        (
            dict(lidar="checkpoint='nowhere.pth'"),
            CheckpointError,
            r'teachers\.lidar\.checkpoint: nowhere\.pth does not',
        ),
        (dict(lidar='strict=True'), ConfigError, r'teachers\.lidar\.checkpoint is not set'),
        (dict(start="'work_dirs/unknown'"), ConfigError, r'load_from: out/unknown holds no checkpoint, .*unknown\.py'),
        (dict(start="'work_dirs/ours'"), ConfigError, r'needs itself, by way of out/ours -> out/ours'),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(configs, change, error, message):
    write_distillation(configs, **change)
    with pytest.raises(error, match=message):
        plan(configs)


def test_a_start_without_a_config_serves_once_it_has_a_checkpoint(configs):
    write_distillation(configs, start="'work_dirs/unknown'")
    checkpoint(Path('out/unknown'), 1)
    stages = plan(configs)
    assert [stage.name for stage in stages] == ['lidar', 'assistant', 'ours']
    assert stages[-1].options['load_from'] == 'out/unknown'


def test_a_config_without_teachers_is_one_training(configs):
    (stage,) = plan_stages(str(configs / 'students/camera.py'))
    assert (stage.role, str(stage.folder)) == ('training', 'work_dirs/camera')


def test_a_config_of_ones_own_finds_those_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / 'mine.py', f"_base_ = ['{CONFIGS}/monotakd_tiny_kitti.py']\n")
    assert [stage.path for stage in plan_stages('mine.py')] == [
        'mono_distill::teachers/pointpillars_tiny_bev_kitti.py',
        'mono_distill::students/caddn_tiny_kitti.py',
        'mono_distill::assistants/caddn_tiny_lidar_kitti.py',
        'mine.py',
    ]


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('monotakd_bevdepth_tiny_nus', ['centerpoint_tiny_nus', 'bevdepth_tiny_nus', 'bevdepth_tiny_lidar_nus']),
        ('stxd_bevdepth_tiny_nus', ['centerpoint_tiny_nus', 'bevdepth_tiny_nus']),
        ('monoskd_tiny_kitti', ['monodle_depth_tiny_kitti', 'monodle_tiny_kitti']),
        ('monotakd_unlabelled_kitti', ['second_bev_kitti', 'caddn_r50_kitti', 'caddn_r50_lidar_kitti']),
    ],
)
def test_what_shipped_distillations_need(name, expected):
    stages = plan_stages(f'mono_distill::{name}.py')
    assert [Path(stage.path.split('::')[1]).stem for stage in stages] == [*expected, name]
    assert [stage.name for stage in stages] == [*expected, name]
