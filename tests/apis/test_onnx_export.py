"""The graph is the detector: in PyTorch always, in onnxruntime where it is installed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_inference import CONFIG, picture, write_weights

from mono_distill.apis import onnx_export
from mono_distill.apis.inference.images import ImageSource
from mono_distill.apis.inference.intrinsics import as_cam2img
from mono_distill.apis.inferencer import MonoDistillInferencer, load_detector
from mono_distill.apis.onnx_export import OnnxExportError, export_onnx
from mono_distill.apis.onnx_graphs import MonoDLEGraph, OnnxGraph, onnx_graph
from mono_distill.utils.errors import CheckpointError, ConfigError

STUDENTS = CONFIG.parent
CONFIGS = {name: STUDENTS / f'{name}_tiny_kitti.py' for name in ('monodle', 'didm3d', 'monodetr')}
NEEDED = 'needs onnx and onnxruntime (pip install onnx onnxruntime)'


@pytest.fixture(scope='module')
def all_weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp('weights')
    return {name: write_weights(folder / f'{name}.pth', config) for name, config in CONFIGS.items()}


@pytest.fixture(scope='module')
def weights(all_weights):
    return all_weights['monodle']


@pytest.fixture
def runtime():
    pytest.importorskip('onnx', reason=NEEDED)
    return pytest.importorskip('onnxruntime', reason=NEEDED)


@pytest.fixture
def without_runtime(monkeypatch):
    """Let the packages look installed, for errors that come before they are used."""
    monkeypatch.setattr(onnx_export, '_optional', lambda name: None)


def detector(weights, *, name='monodle', **options):
    config = Config.fromfile(CONFIGS[name])
    config.merge_from_dict(options)
    return load_detector(config, weights)


@pytest.mark.parametrize('name', CONFIGS)
def test_the_graph_decodes_as_the_detector_does(all_weights, name):
    graph = onnx_graph(detector(all_weights[name], name=name))
    inputs = onnx_export._inputs(graph, 2, (320, 96), seed=5)
    with torch.no_grad():
        got = dict(zip(graph.output_names, graph(*inputs), strict=True))
        expected = graph.reference(*inputs)
    for index, wanted in enumerate(expected):
        for output, value in wanted.items():
            torch.testing.assert_close(got[output][index], value, rtol=1e-5, atol=5e-5, msg=f'{name}: {output}')
    assert len(torch.unique(got['heat'])) == 100
    assert graph.score_thr == 0.2


@pytest.mark.parametrize('name', CONFIGS)
def test_resized_pictures_with_their_cameras_give_the_boxes_of_the_whole_pictures(all_weights, name):
    """What a program does with the file, in PyTorch: the test loop's numbers come out."""
    options = {'model.bbox_head.test_cfg.score_thr': 1e-3} if name == 'monodetr' else {}
    inferencer = MonoDistillInferencer(CONFIGS[name], all_weights[name], 'cpu', cfg_options=options)
    image, camera = picture(47, 160), as_cam2img([[100, 0, 80, 4.5], [0, 100, 24, 0.2], [0, 0, 1, 0.0027]])
    whole = inferencer(image, camera)[0]
    sample = inferencer.pipeline(image, camera, ImageSource('a'))
    metainfo = sample['data_samples'].metainfo
    graph = onnx_graph(inferencer.model)
    given = {
        'image': sample['inputs']['img'][None].float(),
        'cam2img': torch.tensor(metainfo['cam2img'][None, :3], dtype=torch.float32),
        'magnification': torch.tensor([metainfo['trans_mat'][0, 0]], dtype=torch.float32),
    }
    with torch.no_grad():
        values = graph(*(given[one] for one in graph.input_names))
    got = dict(zip(graph.output_names, (value[0].numpy() for value in values), strict=True))
    kept = got['heat'] >= graph.score_thr
    assert kept.any()
    assert np.allclose(got['bboxes_3d'][kept], whole.bboxes_3d, atol=1e-4)
    assert np.allclose(got['scores'][kept], whole.scores, atol=1e-5)
    assert got['labels'][kept].tolist() == whole.labels.tolist()
    factor, top = metainfo['trans_mat'][0, 0], metainfo['trans_mat'][1, 2]
    back = (got['bboxes_2d'][kept] - [0, top, 0, top]) / factor
    assert np.allclose(back, whole.bboxes_2d, atol=1e-3)


def test_the_official_decoding_is_refused(weights):
    model = detector(
        weights, **{'model.bbox_head.bbox_coder': dict(type='mono_distill.MonoCenterCoder', decode_mode='official')}
    )
    with pytest.raises(ConfigError, match='decode_mode=exact'):
        onnx_graph(model)


@pytest.mark.parametrize(
    ('name', 'option', 'message'),
    [
        ('didm3d', {'model.bbox_head.pixel_mode': 'official'}, 'pixel_mode=exact'),
        ('monodetr', {'model.bbox_head.depth_geometry': 'official'}, 'depth_geometry=exact'),
        ('monodetr', {'model.depth_source': 'objects'}, 'told the depth of annotated objects'),
    ],
)
def test_what_needs_more_than_a_picture_is_refused(all_weights, name, option, message):
    model = detector(all_weights[name], name=name, **option)
    with pytest.raises(ConfigError, match=message):
        onnx_graph(model)


def test_did_m3d_gives_candidates_of_a_negative_size_no_heat(all_weights):
    graph = onnx_graph(detector(all_weights['didm3d'], name='didm3d'))
    inputs = onnx_export._inputs(graph, 1, (320, 96), seed=5)
    with torch.no_grad():
        lengths = graph(*inputs)[0][..., 3]
        graph.head.mean_size[:, 2] -= lengths.median()
        got = dict(zip(graph.output_names, graph(*inputs), strict=True))
    negative = (got['bboxes_3d'][..., 3:6] < 0).any(-1)
    assert 0 < int(negative.sum()) < 50
    assert torch.equal(got['heat'] == 0, negative)


def test_a_head_without_a_graph_is_refused_by_name(weights):
    model = detector(weights)
    model.bbox_head = torch.nn.Identity()
    with pytest.raises(
        ConfigError, match=r'CenterNetMono3D with Identity.*heads that can: .*MonoDLEHead.*register_onnx'
    ):
        onnx_graph(model)


@pytest.mark.parametrize('name', CONFIGS)
def test_a_depth_detector_is_refused(all_weights, name):
    model = detector(all_weights[name], name=name)
    model.data_preprocessor.modality = 'depth'
    with pytest.raises(ConfigError, match='ONNX export takes pictures'):
        onnx_graph(model)


@pytest.mark.parametrize('missing', ['onnx', 'onnxruntime'])
def test_a_missing_package_is_named_with_its_cure(weights, tmp_path, monkeypatch, missing):
    def absent(name):
        if name == missing:
            raise ImportError(name)

    monkeypatch.setattr(onnx_export.importlib, 'import_module', absent)
    with pytest.raises(ConfigError, match=f'needs the package {missing}: pip install'):
        export_onnx(CONFIG, weights, tmp_path / 'a.onnx')


def test_the_file_must_be_named_onnx(weights, tmp_path, without_runtime):
    with pytest.raises(ConfigError, match=r'must end in \.onnx'):
        export_onnx(CONFIG, weights, tmp_path / 'a.pth')


def test_a_checkpoint_that_does_not_fit_is_refused(weights, tmp_path, without_runtime):
    with pytest.raises(CheckpointError, match='of another shape'):
        export_onnx(CONFIG, weights, tmp_path / 'a.onnx', cfg_options={'model.bbox_head.num_classes': 2})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', CONFIGS)
def test_a_graph_onnxruntime_agrees_with_is_written(runtime, all_weights, tmp_path, name):
    onnx = pytest.importorskip('onnx', reason=NEEDED)
    report = export_onnx(CONFIGS[name], all_weights[name], tmp_path / 'a.onnx')
    print(report)
    assert (report.input_size, report.batch_sizes) == ((320, 96), (1, 3))
    assert 150 < report.compared <= 196  # four pictures, without the last candidate of each
    assert set(report.max_difference) == set(OnnxGraph.output_names)
    assert max(report.max_difference.values()) < 1e-3
    assert 'batches of 1 and 3 checked in onnxruntime' in str(report)
    operators = {(node.domain, node.op_type) for node in onnx.load(tmp_path / 'a.onnx').graph.node}
    assert {domain for domain, _ in operators} == {''}
    wanted = {'monodle': 'TopK', 'didm3d': 'RoiAlign', 'monodetr': 'GridSample'}
    assert wanted[name] in {operator for _, operator in operators}


def test_the_file_says_what_it_takes_and_gives(runtime, weights, tmp_path):
    export_onnx(CONFIG, weights, tmp_path / 'a.onnx')
    session = runtime.InferenceSession(str(tmp_path / 'a.onnx'))
    assert [(one.name, one.shape, one.type) for one in session.get_inputs()] == [
        ('image', ['batch', 3, 96, 320], 'tensor(float)'),
        ('cam2img', ['batch', 3, 4], 'tensor(float)'),
    ]
    assert [one.name for one in session.get_outputs()] == list(OnnxGraph.output_names)
    stored = session.get_modelmeta().custom_metadata_map
    assert json.loads(stored['classes']) == ['Pedestrian', 'Car', 'Cyclist']
    assert (stored['score_thr'], json.loads(stored['input_size'])) == ('0.2', [320, 96])
    assert [path.name for path in tmp_path.iterdir()] == ['a.onnx']


def test_did_m3d_also_takes_the_magnification(runtime, all_weights, tmp_path):
    export_onnx(CONFIGS['didm3d'], all_weights['didm3d'], tmp_path / 'a.onnx')
    session = runtime.InferenceSession(str(tmp_path / 'a.onnx'))
    assert [(one.name, one.shape) for one in session.get_inputs()] == [
        ('image', ['batch', 3, 96, 320]),
        ('cam2img', ['batch', 3, 4]),
        ('magnification', ['batch']),
    ]
    assert [one.name for one in session.get_outputs()] == list(OnnxGraph.output_names)


@pytest.mark.parametrize('name', ['didm3d', 'monodetr'])
def test_a_later_opset_agrees_too(runtime, all_weights, tmp_path, name):
    report = export_onnx(CONFIGS[name], all_weights[name], tmp_path / 'a.onnx', opset=20)
    assert max(report.max_difference.values()) < 1e-3


def test_the_batch_can_be_fixed(runtime, weights, tmp_path):
    report = export_onnx(CONFIG, weights, tmp_path / 'a.onnx', dynamic_batch=False)
    assert report.batch_sizes == (1,)
    session = runtime.InferenceSession(str(tmp_path / 'a.onnx'))
    assert session.get_inputs()[0].shape == [1, 3, 96, 320]


def test_a_graph_that_computes_something_else_is_not_written(runtime, weights, tmp_path, monkeypatch):
    (tmp_path / 'a.onnx').write_bytes(b'the old one')
    reference = MonoDLEGraph.reference

    def displaced(self, image, cam2img):
        found = reference(self, image, cam2img)
        return [{**one, 'bboxes_3d': one['bboxes_3d'] + 0.01} for one in found]

    monkeypatch.setattr(MonoDLEGraph, 'reference', displaced)
    with pytest.raises(OnnxExportError, match=r'differ by .*Nothing was written'):
        export_onnx(CONFIG, weights, tmp_path / 'a.onnx')
    assert (tmp_path / 'a.onnx').read_bytes() == b'the old one'
    assert [path.name for path in tmp_path.iterdir()] == ['a.onnx']


def test_an_opset_that_cannot_be_written_is_named(runtime, weights, tmp_path):
    with pytest.raises(OnnxExportError, match='opset 3'):
        export_onnx(CONFIG, weights, tmp_path / 'a.onnx', opset=3)
    assert list(tmp_path.iterdir()) == []
