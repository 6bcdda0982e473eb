import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from official_files import golden_state, official_shapes, pair_state, save_official, small_state

from mono_distill.apis import convert
from mono_distill.apis.convert import check_class_names, convert_checkpoint
from mono_distill.apis.plain_config import build_detector, read_config
from mono_distill.compat.checkpoints import load_checkpoint_file
from mono_distill.utils.errors import CheckpointError, ConfigError
from mono_distill.version import __version__


@pytest.fixture(scope='module')
def converted(tmp_path_factory):
    """The golden weights of MonoDLE, converted."""
    file = save_official(tmp_path_factory.mktemp('golden') / 'monodle.pth', golden_state('monodle'))
    return convert_checkpoint(file, source='monodle', part='student', report='json')


def test_a_converted_file_computes_what_the_official_code_computes(converted, golden):
    assert converted.out.name == 'monodle_student.pth'
    detector = build_detector(read_config(converted.out)).eval()
    detector.load_state_dict(load_checkpoint_file(converted.out)['state_dict'], strict=True)
    image = np.random.RandomState(7).standard_normal((2, 3, 384, 1280)).astype(np.float32)[:1]
    with torch.no_grad():
        outs = detector(dict(imgs=torch.from_numpy(image)), mode='tensor')
    for name, value in outs.items():
        expected = torch.from_numpy(golden('monodle_official_cpu')[f'eval_{name}'][:1])
        torch.testing.assert_close(value[:, :, ::8, ::16], expected, rtol=1e-5, atol=1e-5, msg=name)


def test_the_file_says_where_it_comes_from_and_what_it_is_for(converted):
    meta = load_checkpoint_file(converted.out)['meta']
    origin = meta['converted_from']
    assert (origin['file'], origin['from'], origin['part'], origin['epoch']) == (
        'monodle.pth',
        'monodle',
        'student',
        140,
    )
    assert len(origin['sha256']) == 64
    assert meta['config'] == 'mono_distill::students/monodle_kitti.py'
    assert meta['mono_distill_version'] == __version__
    assert meta['dataset_meta'] == {'classes': ['Pedestrian', 'Car', 'Cyclist']}


def test_the_report_lies_beside_the_output(converted):
    assert converted.report_file.name == 'monodle_student.pth.report.json'
    content = json.loads(converted.report_file.read_text())
    assert content['header']['part'] == 'student'
    assert content['counts'] == dict(mapped=340, filled=0, dropped=2, missing=0, unexpected=0, mismatched=0)
    assert [row['official'] for row in content['keys']] == list(official_shapes('monodle'))


@pytest.fixture
def written(monkeypatch):
    """What would be written: full detectors are large."""
    files = {}
    monkeypatch.setattr(convert, 'write_weights', lambda path, state, meta: files.update({path.name: (state, meta)}))
    return files


@pytest.mark.parametrize(
    ('source', 'part', 'state', 'options'),
    [
        ('monodistill', 'student', pair_state('monodle'), {}),
        ('monostl', 'teacher', small_state('monodle'), {'data_preprocessor.depth_normalize': 'monodistill'}),
        ('didm3d', 'student', small_state('didm3d'), {'bbox_head.pixel_mode': 'official'}),
        (
            'monoskd',
            'teacher',
            pair_state('didm3d'),
            {'bbox_head.pixel_mode': 'official', 'data_preprocessor.depth_normalize': 'monoskd'},
        ),
        ('monodetr', 'student', small_state('monodetr'), {'bbox_head.depth_geometry': 'official'}),
    ],
)
def test_every_repository_becomes_a_detector_with_the_options_its_weights_need(
    source, part, state, options, written, tmp_path
):
    done = convert_checkpoint(save_official(tmp_path / 'x.pth', state), source=source, part=part)
    weights, meta = written[f'x_{part}.pth']
    config = Config.fromfile(done.config_file)
    assert Config.fromstring(meta['cfg'], '.py').model == config.model
    build_detector(config).load_state_dict(weights, strict=True)
    found = {name: config.model[name.split('.')[0]].get(name.split('.')[1]) for name in options}
    assert found == options
    assert config.model.data_preprocessor.modality == ('rgb' if part == 'student' else 'depth')
    assert done.report.header['options'] == ' '.join(f'model.{name}={value}' for name, value in options.items())


def test_an_option_of_the_user_goes_first(written, tmp_path):
    file = save_official(tmp_path / 'x.pth', small_state('didm3d'))
    options = {'model.bbox_head.pixel_mode': 'exact'}
    done = convert_checkpoint(file, source='didm3d', part='student', cfg_options=options)
    assert Config.fromfile(done.config_file).model.bbox_head.pixel_mode == 'exact'
    assert done.report.header['options'] == ''


def test_a_teacher_as_safetensors(tmp_path):
    file = save_official(tmp_path / 'depth_pretrain.pth', small_state('monodle'))
    done = convert_checkpoint(file, source='monodistill', part='teacher', out=tmp_path / 'new' / 'teacher.safetensors')
    assert sorted(path.name for path in done.out.parent.iterdir()) == ['teacher.safetensors', 'teacher_config.py']
    assert load_checkpoint_file(done.out)['state_dict']['bbox_head.depth.2.bias'].shape == (2,)


def test_a_refused_file_leaves_only_its_report(tmp_path):
    state = small_state('monodle')
    del state['depth.0.weight']
    file = save_official(tmp_path / 'x.pth', state | {'extra.weight': torch.ones(1)})
    with pytest.raises(CheckpointError, match='x.pth: 1 key missing: bbox_head.depth.0.weight; 1 key not of this mod'):
        convert_checkpoint(file, source='monodle', part='student', report='text')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['x.pth', 'x_student.pth.report.txt']
    report = (tmp_path / 'x_student.pth.report.txt').read_text().splitlines()
    assert 'unexpected  extra.weight' in [' '.join(line.split()[:2]).replace(' ', '  ') for line in report]


def test_another_number_of_classes_is_named_with_the_file(tmp_path):
    file = save_official(tmp_path / 'x.pth', small_state('monodle'))
    options = {'model.bbox_head.num_classes': 1}
    with pytest.raises(CheckpointError, match=r'x\.pth: the checkpoint was trained for 3 classes .* the config for 1'):
        convert_checkpoint(file, source='monodle', part='student', cfg_options=options)


def test_a_head_of_one_class_wants_the_name_of_that_class():
    config = Config(
        dict(
            model=dict(bbox_head=dict(num_classes=1)),
            test_dataloader=dict(dataset=dict(metainfo=dict(classes=['Pedestrian', 'Car', 'Cyclist']))),
        )
    )
    with pytest.raises(
        ConfigError, match=r'tells 1 classes apart, the config names 3: Pedestrian, Car, Cyclist; .*\[Car\]'
    ):
        check_class_names(config)
    config.test_dataloader.dataset.metainfo.classes = ['Car']
    check_class_names(config)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'model_state': {}, 'epoch': 3}, 'holds no weights: expected tensors under one of model_state.*found model_s'),
        ({'model_state': {'a': torch.ones(1), 'b': 3}}, r'1 of 2 entries are no tensors \(b\)'),
        ({'state_dict': {'bbox_head.a': torch.ones(1)}}, 'looks like a checkpoint of this package or of MMDetection3D'),
        ([1, 2], 'holds a list'),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(tmp_path / 'x.pth', source='monodle', part='student')
    assert [path.name for path in tmp_path.iterdir()] == ['x.pth']


def test_files_that_are_no_checkpoints_are_refused(tmp_path):
    (tmp_path / 'x.pth').write_bytes(b'<html>log in</html>')
    with pytest.raises(CheckpointError, match='it is a web page'):
        convert_checkpoint(tmp_path / 'x.pth', source='monodle', part='student')
    with pytest.raises(CheckpointError, match='there is no checkpoint'):
        convert_checkpoint(tmp_path / 'y.pth', source='monodle', part='student')


def test_options_are_checked_first(tmp_path):
    file = tmp_path / 'x.pth'
    config = tmp_path / 'y_config.py'
    config.write_text('model = dict()')
    with pytest.raises(ConfigError, match=r'its config would replace .*y_config.py'):
        convert_checkpoint(file, source='monodle', part='student', out=tmp_path / 'y.pth', config=str(config))
    with pytest.raises(ConfigError, match="no form of report 'yaml'"):
        convert_checkpoint(file, source='monodle', part='student', report='yaml')
    with pytest.raises(ConfigError, match='is the input itself'):
        convert_checkpoint(file, source='monodle', part='student', out=file)
