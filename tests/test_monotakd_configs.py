"""MonoTAKD's and CMKD's distillations: what each preset trains, and what it must leave alone."""

import copy
from pathlib import Path

import pytest
import torch
from kitti_bev_samples import CONFIGS, bev_batch, tiny_model
from kitti_files import write_frame
from kitti_frames import INFO_FILE, frame_info, write_infos
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, init_default_scope

from mono_distill.datasets import KittiBEVDataset
from mono_distill.datasets.kitti.layout import KittiFolder
from mono_distill.hooks.bev_grid_check import check_layouts
from mono_distill.utils.errors import ConfigError

PRESETS = ('monotakd', 'monotakd_tuned', 'monotakd_release', 'monotakd_lite', 'cmkd')
pytestmark = pytest.mark.filterwarnings('ignore::UserWarning')


def tiny_config(preset):
    return Config.fromfile(CONFIGS / f'{preset}_tiny_kitti.py').model


def distiller(preset, **losses):
    """Build a preset with random teachers; ``losses`` are weights that replace its own."""
    init_default_scope('mmdet3d')
    config = tiny_config(preset)
    for teacher in config.teachers.values():
        teacher.update(checkpoint=None, allow_random=True, config=str(CONFIGS / teacher.config.split('::')[1]))
    for name, weight in losses.items():
        config.losses[name].weight = weight
    torch.manual_seed(0)
    model = MODELS.build(config)
    model.bank.load()
    return model.train()


def losses_of(model, batch):
    return model(**model.data_preprocessor(batch, True), mode='loss')


def touched(model):
    return {
        name.split('.')[0]
        for name, p in model.student.named_parameters()
        if p.grad is not None and p.grad.abs().sum() > 0
    }


@pytest.mark.parametrize('preset', PRESETS)
def test_annotations_are_not_needed_and_every_part_learns(preset):
    model, batch = distiller(preset), bev_batch(2)
    for sample in batch['data_samples']:
        del sample.gt_instances_3d
    losses = losses_of(model, batch)
    terms = {name: value for name, value in losses.items() if name.startswith('loss_')}
    assert set(terms) == {f'loss_kd_{name}' for name in tiny_config(preset).losses}
    assert all(value.isfinite() for value in terms.values())
    sum(terms.values()).backward()
    parts = {name.split('.')[0] for name, _ in model.student.named_parameters()}
    # In the released form nothing trains the assistant's own layer.
    assert touched(model) == parts - {'collapse_assistant'}


@pytest.mark.parametrize('preset', ['monotakd', 'monotakd_release', 'cmkd'])
def test_a_step_changes_the_student_and_no_teacher(preset):
    model = distiller(preset)
    teachers = {name: copy.deepcopy(teacher.model.state_dict()) for name, teacher in model.bank.teachers.items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = copy.deepcopy(model.student.state_dict())
    losses = losses_of(model, bev_batch(2))
    sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
    optimizer.step()
    assert any(not torch.equal(value, before[name]) for name, value in model.student.state_dict().items())
    for name, teacher in model.bank.teachers.items():
        assert all(p.grad is None for p in teacher.model.parameters())
        # Running statistics of the norms too.
        for key, value in teacher.model.state_dict().items():
            assert torch.equal(value, teachers[name][key]), key


@pytest.mark.parametrize(
    ('term', 'expected'),
    [
        ('imd', {'backbone', 'context', 'depth_head', 'collapse', 'scnet'}),
        ('cmrd', {'backbone', 'context', 'depth_head', 'collapse_spatial', 'sam'}),
    ],
)
def test_what_each_feature_term_reaches(term, expected):
    model = distiller('monotakd')
    losses_of(model, bev_batch(2))[f'loss_kd_{term}'].backward()
    assert touched(model) == expected


def test_the_terms_are_those_of_the_formulas():
    model, batch = distiller('monotakd'), bev_batch(2)
    losses = losses_of(model, batch)
    student = model.student.distill_outputs()
    teacher, assistant = (model.bank.teachers[name].model.distill_outputs() for name in ('lidar', 'assistant'))
    imd = (student['visual'] - assistant['visual']).square().mean()
    residual = teacher['bev'] - assistant['visual']
    largest = residual.abs().flatten(1).amax(1).view(-1, 1, 1, 1)
    kept = torch.where(residual.abs() >= 0.6 * largest, residual, 0)
    cmrd = (student['spatial'] - kept).square().mean()
    torch.testing.assert_close(losses['loss_kd_imd'], imd)
    torch.testing.assert_close(losses['loss_kd_cmrd'], cmrd)


@pytest.mark.parametrize(
    ('preset', 'weights'),
    [
        ('monotakd', dict(imd=1.0, cmrd=1.0)),
        ('monotakd_tuned', dict(imd=32.0, cmrd=6.4)),
        ('monotakd_release', dict(imd=0.0, cmrd=0.2)),
        ('monotakd_lite', dict(imd=32.0)),
        ('cmkd', dict(feature=32.0)),
    ],
)
@pytest.mark.parametrize('size', ['', 'tiny_'])
def test_weights_of_the_presets(preset, weights, size):
    losses = Config.fromfile(CONFIGS / f'{preset}_{size}kitti.py').model.losses
    assert {name: losses[name].get('weight', 1.0) for name in losses} == {**weights, 'response': 1.0}


def test_inference_of_a_distilled_student_needs_the_picture_alone():
    model, batch = distiller('monotakd').eval(), bev_batch(1, depth=False)
    del batch['inputs']['points']
    (found,) = model(**model.data_preprocessor(batch, False), mode='predict')
    assert 'pred_instances_3d' in found


def test_an_assistant_without_depth_stops_the_training_and_names_the_frames():
    model, batch = distiller('monotakd'), bev_batch(2, depth=False)
    with pytest.raises(ValueError, match=r'no LiDAR depth .*000000, 000001'):
        losses_of(model, batch)


@pytest.mark.parametrize(
    'names',
    [
        ('students/caddn_tiny_kitti', 'assistants/caddn_tiny_lidar_kitti', 'teachers/pointpillars_tiny_bev_kitti'),
        ('students/caddn_r50_kitti', 'assistants/caddn_r50_lidar_kitti', 'teachers/pointpillars_bev_kitti'),
    ],
)
def test_student_assistant_and_teacher_are_on_one_grid(names):
    student, assistant, teacher = (tiny_model(name) for name in names)
    check_layouts('student', student, dict(assistant=assistant, lidar=teacher))
    assert len(assistant.bev_layout()) == 4


def test_other_bins_of_the_assistant_are_found():
    view = Config.fromfile(CONFIGS / 'assistants/caddn_tiny_lidar_kitti.py').model.view
    other = tiny_model('assistants/caddn_tiny_lidar_kitti', view={**view, 'bins': 60})
    with pytest.raises(ConfigError, match='depth_bins of the student is 40, that of assistant 60'):
        check_layouts('student', tiny_model('students/caddn_tiny_kitti'), dict(assistant=other))


def test_second_stands_on_the_same_grid():
    config = Config.fromfile(CONFIGS / 'teachers/second_bev_kitti.py').model
    layer, encoder = config.data_preprocessor.voxel_layer, config.middle_encoder
    limits = config.point_cloud_range
    cells = [round((limits[a + 3] - limits[a]) / layer.voxel_size[a]) for a in (2, 1, 0)]
    # Three strides of 2 in the plane; one more slice above, as SECOND has it.
    assert encoder.sparse_shape == [cells[0] + 1, *cells[1:]]
    assert [n // 8 for n in cells[1:]] == list(config.bev_size)
    depth = encoder.sparse_shape[0]
    for kernel, stride, padding in ((3, 2, 1), (3, 2, 1), (3, 2, 0), (3, 2, 0)):
        depth = (depth + 2 * padding - kernel) // stride + 1
    assert depth * encoder.output_channels == config.backbone.in_channels == 128


def test_frames_without_labels_are_distilled_on(tmp_path):
    write_frame(tmp_path, '000000')
    write_infos(tmp_path, [frame_info(KittiFolder(tmp_path), '000000', (48, 160))])
    model, batch = distiller('monotakd'), []
    pipeline = Config.fromfile(CONFIGS / 'monotakd_tiny_kitti.py').train_pipeline
    for labelled in (True, False):
        dataset = KittiBEVDataset(INFO_FILE, str(tmp_path), pipeline=pipeline, labelled=labelled)
        batch.append(dataset[0])
    assert [len(sample['data_samples'].gt_instances_3d) for sample in batch] == [1, 0]
    assert [sample['data_samples'].labelled for sample in batch] == [True, False]
    losses = losses_of(model, pseudo_collate(batch))
    assert all(value.isfinite().all() for name, value in losses.items() if name.startswith('loss_'))


@pytest.mark.full
def test_second_trains(tmp_path):
    model = tiny_model('teachers/second_bev_kitti').cuda() if torch.cuda.is_available() else None
    if model is None:
        pytest.skip('sparse convolutions need a GPU')
    losses = model.train()(**model.data_preprocessor(bev_batch(2), True), mode='loss')
    sum(losses.values()).backward()
    assert model.distill_outputs()['bev'].shape == (2, 128, 188, 140)


@pytest.mark.parametrize('name', sorted(p.name for p in Path(CONFIGS).glob('*monotakd*kitti.py')))
def test_the_stages_that_a_config_names_exist(name):
    config = Config.fromfile(CONFIGS / name)
    for teacher in config.model.teachers.values():
        assert (CONFIGS / teacher.config.split('::')[1]).is_file()
        assert teacher.checkpoint == f'work_dirs/{Path(teacher.config).stem}'


@pytest.mark.parametrize(('name', 'hidden'), [('', 'kitti_infos_test.pkl'), ('tiny_', 'kitti_infos_val.pkl')])
def test_half_of_every_batch_has_no_labels(name, hidden):
    loader = Config.fromfile(CONFIGS / f'monotakd_unlabelled_{name}kitti.py').train_dataloader
    labelled, unlabelled = loader.dataset.datasets
    assert (labelled.get('labelled', True), unlabelled.labelled) == (True, False)
    assert (labelled.ann_file, unlabelled.ann_file) == ('kitti_infos_train.pkl', hidden)
    assert loader.sampler.pattern == (2, 2)
    assert sum(loader.sampler.pattern) == loader.batch_size
    for part in (labelled, unlabelled):
        (loads,) = (step for step in part.pipeline if step.type.endswith('LoadKittiBEVAnnotations'))
        assert loads.allow_unlabelled
