from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from official_files import PAIR, official_shapes, pair_state, small_state

from mono_distill.apis.plain_config import build_detector
from mono_distill.models import CenterNetMono3D
from mono_distill.models.converters.convert_state import convert_state
from mono_distill.models.converters.official import official_source
from mono_distill.utils.errors import CheckpointError

CONFIGS = Path(__file__).resolve().parents[3] / 'configs' / 'students'
NAMES = list(official_shapes('monodle'))
DLA_BIAS, HEAD_BIAS = 'backbone.level5.tree1.bn2.bias', 'depth.2.bias'


@pytest.fixture(scope='module')
def expected():
    detector = CenterNetMono3D(
        backbone=dict(type='mono_distill.DLANet'),
        neck=dict(type='mono_distill.DLAUpNeck'),
        bbox_head=dict(type='mono_distill.MonoDLEHead'),
    )
    return detector.state_dict()


def convert(state, expected, name='monodle', part='student'):
    return convert_state(state, official_source(name, part), part, expected)


def test_a_plain_file_becomes_the_state_of_the_detector(expected):
    converted, report = convert(small_state('monodle'), expected)
    report.require_complete('it')
    assert list(converted) == list(expected)
    assert all(
        converted[key].shape == value.shape and converted[key].dtype == value.dtype for key, value in expected.items()
    )
    assert (converted['backbone.level5.tree1.norm2.bias'] == NAMES.index(DLA_BIAS)).all()
    assert (converted['bbox_head.depth.2.bias'] == NAMES.index(HEAD_BIAS)).all()
    assert len({value.data_ptr() for value in converted.values()}) == 340
    assert all(value.is_contiguous() for value in converted.values())


@pytest.mark.parametrize(
    ('name', 'config', 'mapped', 'filled', 'dropped'),
    [('didm3d', 'didm3d_kitti.py', 368, 0, 2), ('monodetr', 'monodetr_kitti.py', 537, 53, 45)],
)
def test_the_other_models_map_one_to_one_too(name, config, mapped, filled, dropped):
    detector = build_detector(Config.fromfile(CONFIGS / config))
    converted, report = convert(small_state(name), detector.state_dict(), name)
    report.require_complete('it')
    assert [len(report.of(outcome)) for outcome in ('mapped', 'filled', 'dropped')] == [mapped, filled, dropped]
    assert not any('no counterpart' in fate.note for fate in report.of('dropped'))
    detector.load_state_dict(converted, strict=True)
    names = list(official_shapes(name))
    for fate in report.of('mapped'):
        assert (converted[fate.ours] == names.index(fate.official)).all(), fate


def test_every_key_is_reported_once_with_a_reason(expected):
    _, report = convert(small_state('monodle'), expected)
    assert [fate.official for fate in report.fates] == NAMES
    assert [fate.official for fate in report.of('dropped')] == ['backbone.fc.weight', 'backbone.fc.bias']
    assert {fate.note for fate in report.of('dropped')} == {'classifier of ImageNet, which no output uses'}


@pytest.mark.parametrize('name', ['monodistill', 'monostl'])
@pytest.mark.parametrize(('part', 'start', 'other'), [('student', 0, 'teacher'), ('teacher', 1000, 'student')])
def test_each_part_of_a_pair_is_taken_out(expected, name, part, start, other):
    converted, report = convert(pair_state('monodle'), expected, name, part)
    report.require_complete('it')
    assert (converted['bbox_head.depth.2.bias'] == start + NAMES.index(HEAD_BIAS)).all()
    notes = [fate.note for fate in report.of('dropped')]
    assert notes.count(f'the {other}') == 342
    assert notes.count('adapter between student and teacher, part of neither') == 7
    assert notes.count('classifier of ImageNet, which no output uses') == 2
    assert len(report.fates) == len(pair_state('monodle'))


@pytest.mark.parametrize('part', ['student', 'teacher'])
def test_a_file_of_one_network_is_the_part_it_is_said_to_be(expected, part):
    _, report = convert(small_state('monodle'), expected, 'monodistill', part)
    assert report.complete


def test_a_pair_without_its_teacher_is_refused(expected):
    with pytest.raises(CheckpointError, match="the file has no teacher: no key starts with 'centernet_depth.'"):
        convert(small_state('monodle', PAIR['student']), expected, 'monodistill', 'teacher')


@pytest.mark.parametrize(
    ('state', 'name', 'looks', 'advice'),
    [
        (small_state('didm3d'), 'monodle', 'DID-M3D', '--from didm3d'),
        (small_state('monodetr'), 'monodistill', 'MonoDETR', '--from monodetr'),
        (small_state('monodle'), 'monodetr', 'MonoDLE', '--from monodle'),
        (pair_state('monodle'), 'monodle', 'a MonoDistill or MonoSTL checkpoint', '--from monodistill'),
        (pair_state('monodle'), 'monoskd', 'a MonoDistill or MonoSTL checkpoint', '--from monodistill'),
        (pair_state('didm3d'), 'monostl', 'a MonoSKD checkpoint', '--from monoskd'),
        ({'bbox_head.x': torch.ones(1)}, 'monodle', 'a checkpoint of this package', 'needs no conversion'),
        ({'x': torch.ones(1)}, 'monodle', 'no model this package knows', 'as the official repository released it'),
    ],
)
def test_a_checkpoint_of_another_model_is_named(expected, state, name, looks, advice):
    with pytest.raises(CheckpointError, match=f'this looks like {looks}.*, not like .*--from {name}.*{advice}'):
        convert(state, expected, name)


def test_another_number_of_classes_is_named(expected):
    state = small_state('monodle')
    state['heatmap.2.weight'] = torch.zeros(1, 256, 1, 1)
    state['heatmap.2.bias'] = torch.zeros(1)
    message = r'trained for 1 class \(heatmap.2.weight \(1, 256, 1, 1\)\), the config for 3.*bbox_head.num_classes=1'
    with pytest.raises(CheckpointError, match=message):
        convert(state, expected)


def test_extra_and_missing_keys_and_other_shapes_are_all_found(expected):
    state = small_state('monodle')
    state['backbone.base_layer.0.weight'] = torch.zeros(1, 3, 7, 7)
    del state['depth.0.weight'], state['depth.0.bias']
    for i in range(7):
        state[f'dense_depth.{i}.weight'] = torch.zeros(1)
    _, report = convert(state, expected)
    assert [fate.ours for fate in report.of('missing')] == ['bbox_head.depth.0.weight', 'bbox_head.depth.0.bias']
    assert [fate.official for fate in report.of('unexpected')] == [f'dense_depth.{i}.weight' for i in range(7)]
    assert [fate.note for fate in report.of('mismatched')] == ['(1, 3, 7, 7), here (16, 3, 7, 7)']
    assert len(report.of('mapped')) == 340 - 3


def test_counters_that_old_torch_did_not_store_are_filled_in(expected):
    state = {name: value for name, value in small_state('monodle').items() if not name.endswith('tracked')}
    converted, report = convert(state, expected)
    assert report.complete
    assert list(converted) == list(expected)
    assert len(report.of('filled')) == len(NAMES) - len(state)
    assert all(fate.ours.endswith('num_batches_tracked') for fate in report.of('filled'))
