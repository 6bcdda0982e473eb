"""The commands of the demo."""

import pytest
from demo_files import write_kitti
from kitti_files import write_folder

from mono_distill.apis.demo import stages
from mono_distill.apis.demo.folder import DemoFolder
from mono_distill.apis.demo.models import CONTROL, DISTILLED, MODELS
from mono_distill.apis.demo.options import DemoOptions
from mono_distill.apis.launch import load_config
from mono_distill.cli.main import main


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
    folder = DemoFolder(tmp_path_factory.mktemp('demo'))
    write_kitti(folder.kitti, frames=6)
    for model in MODELS:
        folder.work_dir(model.name).mkdir()
        (folder.work_dir(model.name) / 'last_checkpoint').write_text('/elsewhere/iter_7.pth')
    return folder


@pytest.fixture(scope='module')
def commands(prepared):
    return all_jobs(prepared)


def all_jobs(folder, **options):
    options = DemoOptions(folder.out, train_steps=10, distil_steps=6, **options)
    made = [stage.jobs(options, folder) for stage in stages.all_stages(options) if stage.jobs]
    return {job.name: job for jobs in made for job in jobs}


def loaded(job, monkeypatch):
    """Return the config that a command works with."""
    for variable, value in job.environment.items():
        monkeypatch.setenv(variable, value)
    options = job.arguments[job.arguments.index('--cfg-options') + 1 :]
    return load_config(job.arguments[1], dict(option.split('=', 1) for option in options))


def test_every_model_is_trained_and_tested(commands):
    names = [model.name for model in MODELS]
    assert list(commands) == [
        'world', 'prepare', 'teacher', 'student', 'distilled', 'control', *(f'test_{name}' for name in names),
    ]  # fmt: skip


def test_own_frames_are_not_generated(prepared):
    first = stages.all_stages(DemoOptions(prepared.out, kitti_root=prepared.kitti))[0]
    assert first.name == 'prepare'


def test_own_frames_are_read_at_full_size_and_evaluated_where_they_were_trained_if_there_is_no_split(
    tmp_path, monkeypatch
):
    folder = DemoFolder(tmp_path)
    write_folder(folder.kitti, training=4)
    assert main(['prepare', 'kitti', '--root', str(folder.kitti), '--workers', '1']) == 0
    for model in MODELS:
        folder.work_dir(model.name).mkdir()
        (folder.work_dir(model.name) / 'last_checkpoint').write_text('iter_7.pth')
    jobs = all_jobs(folder, kitti_root=folder.kitti)
    train, test = loaded(jobs['teacher'], monkeypatch), loaded(jobs['test_teacher'], monkeypatch)
    for loader in (train.train_dataloader, train.val_dataloader, test.test_dataloader):
        assert loader.dataset.ann_file == 'kitti_infos_trainval.pkl'
        assert float(loader.dataset.image_scale) == 1
    assert (
        test.test_evaluator.ann_file == train.val_evaluator.ann_file == str(folder.kitti / 'kitti_infos_trainval.pkl')
    )
    assert float(test.test_evaluator.image_scale) == float(train.val_evaluator.image_scale) == 1


def test_few_cars_are_counted_several_times(commands):
    assert 'test_evaluator.repeat=41' in commands['test_teacher'].arguments


def test_the_control_differs_from_the_distillation_in_the_teacher_only(commands):
    distilled, control = (set(commands[model.name].arguments) for model in (DISTILLED, CONTROL))
    own = {argument for argument in distilled - control if not argument.startswith(('model.', 'custom_hooks.'))}
    assert own == {DISTILLED.config, commands[DISTILLED.name].product.parent.as_posix()}
    assert {'--seed', '--resume', 'train_cfg.max_epochs=6'} <= distilled & control


@pytest.mark.parametrize('name', [model.name for model in MODELS])
def test_the_options_fit_the_config(commands, monkeypatch, capsys, name):
    job = commands[name]
    for variable, value in job.environment.items():
        monkeypatch.setenv(variable, value)
    assert main([*job.arguments[:6], '--dry-run', *job.arguments[7:]]) == 0
    assert 'config and model are fine' in capsys.readouterr().out


@pytest.mark.parametrize('name', [model.name for model in MODELS])
def test_the_test_reads_the_validation_frames_of_the_demo(commands, prepared, monkeypatch, name):
    job = commands[f'test_{name}']
    config = loaded(job, monkeypatch)
    assert config.test_dataloader.dataset.data_root == str(prepared.kitti)
    assert config.test_dataloader.dataset.ann_file == 'kitti_infos_val.pkl'
    assert config.test_evaluator.ann_file == str(prepared.kitti / 'kitti_infos_val.pkl')
    assert config.test_evaluator.image_scale == 0.25
    assert job.arguments[2].endswith(f'{name}/iter_7.pth')


def test_the_check_of_the_teacher_is_where_the_option_reaches_it():
    hooks = load_config('mono_distill::monoskd_synth.py').custom_hooks
    assert hooks[stages.CHECK_HOOK].type == 'mono_distill.TeacherCheckHook'


def test_a_processor_without_bfloat16_computes_in_float32(prepared, monkeypatch):
    options = DemoOptions(prepared.out)
    for native in (True, False):
        monkeypatch.setattr(stages, 'native_bfloat16', lambda native=native: native)
        (train,) = [stage for stage in stages.all_stages(options) if stage.name == 'train']
        for job in train.jobs(options, prepared):
            assert ('optim_wrapper.type=OptimWrapper' in job.arguments) is not native


def test_a_command_can_be_typed(commands):
    command = commands['teacher'].command
    assert command.startswith('SYNTH_ROOT=')
    assert ' mono-distill train mono_distill::teachers/monodle_depth_synth.py --work-dir ' in command
