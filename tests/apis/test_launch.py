import pytest
import torch
from mmengine.config import Config

from mono_distill.apis import launch
from mono_distill.utils.errors import ConfigError


def write(folder, text="model = dict(type='X')\n"):
    path = folder / 'some_config.py'
    path.write_text(text)
    return str(path)


def test_the_work_directory_is_named_after_the_config(tmp_path):
    assert launch.load_config(write(tmp_path)).work_dir == 'work_dirs/some_config'
    assert launch.load_config(write(tmp_path), work_dir='elsewhere').work_dir == 'elsewhere'
    assert launch.load_config(write(tmp_path, "work_dir = 'own'\n")).work_dir == 'own'


def test_overrides_are_merged_and_checked(tmp_path):
    text = "pipeline = [dict(type='mono_distill.MonoRandomFlip', prob=0.5)]\n"
    assert launch.load_config(write(tmp_path, text), {'pipeline.0.prob': 0.0}).pipeline[0].prob == 0.0
    with pytest.raises(ConfigError, match=r"pipeline\[0\]: MonoRandomFlip has no option 'pob'"):
        launch.load_config(write(tmp_path, text), {'pipeline.0.pob': 0.0})


@pytest.mark.parametrize(
    ('option', 'hint'),
    [
        ('optim_wraper.optimizer.lr', "'optim_wrapper'"),
        ('model.student.bbox_haed.num_classes', "'model.student.bbox_head'"),
    ],
)
def test_an_override_of_a_misspelt_part_is_refused(tmp_path, option, hint):
    path = tmp_path / 'mine.py'
    path.write_text('optim_wrapper = dict(lr=1)\nmodel = dict(student=dict(bbox_head=dict(a=1)))\n')
    with pytest.raises(ConfigError, match=f'did you mean {hint}'):
        launch.load_config(str(path), {option: 2})


def test_an_override_may_add_a_part(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text('default_hooks = dict(logger=dict(type="LoggerHook"))\nhooks = [dict(every=1)]\n')
    config = launch.load_config(str(path), {'default_hooks.checkpoint.interval': 5, 'hooks.0.every': 2})
    assert config.default_hooks.checkpoint.interval == 5
    assert config.hooks[0].every == 2


def loaders(**options):
    return Config(
        dict(train_dataloader=dict(options), val_dataloader=[dict(), dict(pin_memory=False)], test_dataloader=None)
    )


def test_batches_are_pinned_where_there_is_a_gpu_unless_the_config_says_otherwise(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    config = loaders(batch_size=2)
    launch.pin_batches(config)
    assert config.train_dataloader == dict(batch_size=2, pin_memory=True)
    assert config.val_dataloader == [dict(pin_memory=True), dict(pin_memory=False)]


def test_batches_are_not_pinned_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    config = loaders()
    launch.pin_batches(config)
    assert 'pin_memory' not in config.train_dataloader


@pytest.mark.skipif(torch.cuda.is_available(), reason='a machine without a GPU')
def test_mixed_precision_needs_a_gpu():
    with pytest.raises(ConfigError, match='--amp needs a CUDA device'):
        launch.set_amp(Config(dict(optim_wrapper=dict(type='OptimWrapper'))))


def test_the_pytorch_launcher_is_for_torchrun(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    if torch.cuda.is_available():
        pytest.skip('with a GPU mmengine opens the process group')
    with pytest.raises(ConfigError, match='torchrun'):
        launch.set_launcher(Config(dict()), 'pytorch', None)


def test_a_seed_replaces_the_configs_and_keeps_the_rest():
    config = Config(dict(randomness=dict(seed=1, diff_rank_seed=True)))
    launch.set_seed(config, 7, deterministic=True)
    assert config.randomness == dict(seed=7, diff_rank_seed=True, deterministic=True)
    launch.set_seed(config, None, deterministic=False)
    assert config.randomness.seed == 7


def test_a_config_without_a_seed_says_so_as_the_runner_wants_it():
    config = Config(dict())
    launch.set_seed(config, None, deterministic=False)
    assert config.randomness == dict(seed=None)


def test_a_distillation_is_tested_as_its_student():
    hooks = [dict(type='mono_distill.TeacherCheckHook', metric='m'), dict(type='mono_distill.StrictLoadHook')]
    model = dict(type='mono_distill.CrossModalDistiller', student=dict(type='S'), losses=dict(a=1))
    config = launch.plain_student(Config(dict(model=model, custom_hooks=hooks)))
    assert config.model.type == 'S'
    assert [hook.type for hook in config.custom_hooks] == ['mono_distill.StrictLoadHook']


def test_a_preprocessor_beside_the_student_is_the_students():
    model = dict(type='mono_distill.CrossModalDistiller', student=dict(type='S'), data_preprocessor=dict(type='P'))
    assert launch.plain_student(Config(dict(model=model))).model == dict(type='S', data_preprocessor=dict(type='P'))
    model['student']['data_preprocessor'] = dict(type='Own')
    assert launch.plain_student(Config(dict(model=model))).model.data_preprocessor.type == 'Own'


def test_a_detector_is_tested_as_it_is():
    config = Config(dict(model=dict(type='S')))
    assert launch.plain_student(config).model.type == 'S'


def test_resuming_takes_the_last_checkpoint_of_the_work_directory(tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    config = Config(dict(work_dir=str(tmp_path), load_from='student.pth', resume=False))
    launch.set_resume(config, 'auto')
    assert (config.resume, config.load_from) == (True, str(tmp_path / 'epoch_2.pth'))


def test_resuming_before_the_first_checkpoint_begins_as_if_nothing_had_been_said(tmp_path):
    config = Config(dict(work_dir=str(tmp_path), load_from='student.pth', resume=False))
    launch.set_resume(config, 'auto')
    assert (config.resume, config.load_from) == (False, 'student.pth')


def test_resuming_can_name_a_file(tmp_path):
    config = Config(dict(work_dir=str(tmp_path), load_from=None))
    launch.set_resume(config, 'some.pth')
    assert (config.resume, config.load_from) == (True, 'some.pth')


def test_submission_files_need_one_metric():
    with pytest.raises(ConfigError, match='--format-only needs one test_evaluator'):
        launch.set_test_options(Config(dict(test_evaluator=[dict(type='M')])), 'out', None)


@pytest.mark.parametrize(
    ('metric', 'folder'), [('M', 'submission_prefix'), ('mono_distill.NuScenesDetectionMetric', 'jsonfile_prefix')]
)
def test_submission_files_replace_the_evaluation(metric, folder):
    config = Config(dict(test_evaluator=dict(type=metric)))
    launch.set_test_options(config, 'out', None)
    assert config.test_evaluator == {'type': metric, 'format_only': True, folder: 'out'}


def test_a_work_directory_to_start_from_means_its_last_checkpoint(tmp_path):
    torch.save({}, tmp_path / 'epoch_2.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    config = Config(dict(load_from=str(tmp_path)))
    launch.resolve_load_from(config)
    assert config.load_from == str(tmp_path / 'epoch_2.pth')


def test_a_missing_start_is_named_before_anything_is_built(tmp_path):
    from mono_distill.utils.errors import CheckpointError

    with pytest.raises(CheckpointError, match=r'load_from.*nowhere.*does not exist'):
        launch.resolve_load_from(Config(dict(load_from=str(tmp_path / 'nowhere'))))


@pytest.mark.parametrize(
    ('options', 'kept'),
    [(dict(), True), (dict(load_from='x.pth'), False), (dict(resume=True), True)],
)
def test_imagenet_weights_are_only_for_a_fresh_start(tmp_path, options, kept):
    model = dict(student=dict(backbone=dict(type='mono_distill.DLANet', pretrained='timm')))
    config = Config(dict(model=model, work_dir=str(tmp_path), **options))
    launch.skip_pretrained(config)
    assert (config.model.student.backbone.pretrained == 'timm') == kept


@pytest.mark.parametrize('name', ['backbone', 'img_backbone'])
def test_a_resumed_run_needs_no_imagenet_weights(tmp_path, name):
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    config = Config(dict(model={name: dict(pretrained='timm')}, work_dir=str(tmp_path), resume=True))
    launch.skip_pretrained(config)
    assert config.model[name].pretrained is None


@pytest.mark.parametrize(('init', 'kept'), [('Pretrained', False), ('Kaiming', True)])
def test_a_backbone_of_mmdet_that_continues_from_weights_fetches_none(init, kept):
    backbone = dict(init_cfg=dict(type=init, checkpoint='open-mmlab://resnet101'))
    config = Config(dict(model=dict(backbone=backbone), load_from='student.pth', work_dir='x'))
    launch.skip_pretrained(config)
    assert (config.model.backbone.init_cfg is not None) == kept
