"""Pictures in, boxes out: the boxes of the test loop on the same frames."""

from __future__ import annotations

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from tiny_inference import CAMERA, CONFIG, picture, write_weights
from tiny_kitti import short, write_prepared_kitti

from mono_distill.apis import launch
from mono_distill.apis.inferencer import MonoDistillInferencer
from mono_distill.evaluation.detections_file import load_detections
from mono_distill.utils.errors import CheckpointError, ConfigError, DataError

CONFIGS = CONFIG.parent.parent
FIELDS = {'bbox': 'bboxes_2d', 'alpha': 'alpha', 'score': 'scores'}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp('weights') / 'tiny.pth')


@pytest.fixture(scope='module')
def inferencer(weights):
    return MonoDistillInferencer(CONFIG, weights, 'cpu', batch_size=2)


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    return write_prepared_kitti(tmp_path_factory.mktemp('kitti'), frames=3)


def boxes_of(detections):
    return np.concatenate([one.bboxes_3d for one in detections])


@pytest.mark.parametrize('student', ['monodle', 'didm3d', 'monodetr'])
def test_boxes_are_those_of_the_test_loop(frames, tmp_path, student):
    config_file = CONFIG.with_name(f'{student}_tiny_kitti.py')
    weights = write_weights(tmp_path / 'tiny.pth', config_file)
    config = short(Config.fromfile(config_file), frames)
    config.test_dataloader.batch_size = 2
    config.test_evaluator.detections_file = str(tmp_path / 'detections.npz')
    config.work_dir, config.load_from = str(tmp_path / 'work'), str(weights)
    launch.build_runner(config).test()
    expected = load_detections(tmp_path / 'detections.npz')

    inferencer = MonoDistillInferencer(config_file, weights, 'cpu', batch_size=2)
    found = inferencer(frames / 'training' / 'image_2', frames / 'training' / 'calib')
    assert [one.name for one in found] == list(expected) == ['000000', '000001', '000002']
    for one in found:
        annos = expected[one.name]
        assert len(one) > 0
        assert list(one.class_names) == annos['name'].tolist()
        assert [one.classes[label] for label in one.labels] == annos['name'].tolist()
        for theirs, ours in FIELDS.items():
            assert np.array_equal(getattr(one, ours), annos[theirs]), theirs
        truth = np.column_stack([annos['location'], annos['dimensions'], annos['rotation_y']])
        assert np.array_equal(one.bboxes_3d, truth)


def test_files_and_arrays_give_the_same(inferencer, frames):
    paths = sorted((frames / 'training' / 'image_2').glob('*.png'))
    from_files = inferencer(paths, CAMERA)
    from_arrays = inferencer([cv2.imread(str(path)) for path in paths], CAMERA)
    assert np.array_equal(boxes_of(from_files), boxes_of(from_arrays))
    assert [one.name for one in from_arrays] == ['image_000000', 'image_000001', 'image_000002']


@pytest.mark.parametrize('batch_size', [1, 3])
def test_the_batch_size_changes_rounding_only(weights, inferencer, batch_size):
    images = [picture(seed=seed) for seed in range(3)]
    other = MonoDistillInferencer(CONFIG, weights, 'cpu', batch_size=batch_size)
    assert np.allclose(boxes_of(other(images, CAMERA)), boxes_of(inferencer(images, CAMERA)), atol=1e-4)


def test_every_image_has_its_own_camera(inferencer):
    image = picture()
    near, far = inferencer([image, image], [CAMERA, (200, 200, 80, 24)])
    # Twice the focal length halves the angle of a ray, and the depth is read from the picture alone.
    assert np.allclose(near.bboxes_3d[:, 2], far.bboxes_3d[:, 2], atol=1e-5)
    assert np.allclose(near.bboxes_3d[:, 0], 2 * far.bboxes_3d[:, 0], atol=1e-4)


def test_pictures_of_different_sizes_share_a_batch(inferencer):
    found = inferencer([picture(48, 160), picture(96, 320)], [CAMERA, (200, 200, 160, 48)])
    assert [one.image_size for one in found] == [(160, 48), (320, 96)]


def test_a_distillations_config_is_its_student(weights, inferencer):
    student = MonoDistillInferencer(CONFIGS / 'monoskd_tiny_kitti.py', weights, 'cpu')
    image = picture()
    assert np.allclose(boxes_of(student(image, CAMERA)), boxes_of(inferencer(image, CAMERA)), atol=1e-4)


def test_a_loaded_config_is_not_changed(weights):
    config = Config.fromfile(CONFIGS / 'monoskd_tiny_kitti.py')
    before = config.to_dict()
    MonoDistillInferencer(config, weights, 'cpu', cfg_options={'model.student.test_cfg.score_thr': 0.3})
    assert config.to_dict() == before


def test_a_threshold_leaves_out_low_scores(inferencer):
    everything = inferencer(picture(), CAMERA)[0]
    middle = float(np.median(everything.scores))
    some = inferencer(picture(), CAMERA, score_thr=middle)[0]
    assert 0 < len(some) < len(everything)
    assert np.array_equal(some.scores, everything.scores[everything.scores >= middle])


def test_a_detector_that_finds_nothing_says_so(weights):
    inferencer = MonoDistillInferencer(CONFIG, weights, 'cpu', cfg_options={'model.test_cfg.score_thr': 1.0})
    found = inferencer(picture(), CAMERA)[0]
    assert (len(found), found.bboxes_3d.shape, found.bboxes_2d.shape) == (0, (0, 7), (0, 4))
    assert found.to_dict()['objects'] == []


def test_images_are_read_when_their_turn_comes(inferencer, tmp_path):
    for number in range(5):
        cv2.imwrite(str(tmp_path / f'{number}.png'), picture(seed=number))
    (tmp_path / '3.png').write_bytes(b'damaged')
    stream = inferencer.stream(tmp_path, CAMERA)
    assert [next(stream)[0].name, next(stream)[0].name] == ['0', '1']
    with pytest.raises(DataError, match=r'3.png is damaged'):
        next(stream)


def test_faults_of_the_call_are_found_before_an_image_is_read(inferencer, tmp_path):
    (tmp_path / 'a.png').write_bytes(b'damaged')
    with pytest.raises(DataError, match='focal lengths must be positive'):
        inferencer.stream(tmp_path, (0, 100, 80, 24))
    with pytest.raises(DataError, match=r'nowhere.png does not exist'):
        inferencer.stream([tmp_path / 'a.png', 'nowhere.png'], CAMERA)


def test_another_aspect_ratio_is_said_once_for_every_size(weights, caplog):
    inferencer = MonoDistillInferencer(CONFIG, weights, 'cpu')
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        inferencer([picture(90, 160), picture(90, 160), picture(48, 160)], CAMERA)
    assert caplog.text.count('image_000000 is 160x90 (1.78:1), the network looks at 320x96 (3.33:1)') == 1
    assert len(caplog.records) == 1


def test_a_portrait_is_refused(inferencer):
    with pytest.raises(DataError, match='image_000000 is 90x160'):
        inferencer(picture(160, 90), CAMERA)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'model.bbox_head.num_classes': 1}, r'of another shape \(bbox_head.heatmap.2.weight \(3, .*instead of \(1, '),
        ({'model.backbone.depth': 34}, r'parameters missing \(backbone.layer1.2.conv1.weight'),
    ],
)
def test_a_checkpoint_of_another_model_is_refused_with_names(weights, options, message):
    with pytest.raises(CheckpointError, match=f'tiny.pth does not fit CenterNetMono3D.*{message}'):
        MonoDistillInferencer(CONFIG, weights, 'cpu', cfg_options=options)


def test_a_work_directory_stands_for_its_last_checkpoint(weights, inferencer, tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(weights))
    found = MonoDistillInferencer(CONFIG, tmp_path, 'cpu')(picture(), CAMERA)
    assert np.allclose(boxes_of(found), boxes_of(inferencer(picture(), CAMERA)), atol=1e-4)


def test_a_depth_teacher_is_refused(weights):
    with pytest.raises(ConfigError, match='LiDAR depth maps'):
        MonoDistillInferencer(CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py', weights, 'cpu')


@pytest.mark.parametrize(('device', 'message'), [('gpu', "no device 'gpu'"), ('cuda:7', 'torch sees . GPUs')])
def test_a_device_that_is_not_there_is_named(weights, device, message):
    if device == 'cuda:7' and torch.cuda.device_count() > 7:
        pytest.skip('this machine has eight GPUs')
    with pytest.raises(ConfigError, match=message):
        MonoDistillInferencer(CONFIG, weights, device)


def test_a_batch_has_at_least_one_image(weights):
    with pytest.raises(ConfigError, match='batch_size must be at least 1'):
        MonoDistillInferencer(CONFIG, weights, batch_size=0)


@pytest.mark.parametrize('name', ['smoke', 'fcos3d'])
def test_detectors_of_mmdet3d_work_as_they_are(tmp_path, name):
    config_file = CONFIGS.parent / 'projects' / 'distill_your_own' / f'{name}_tiny_kitti.py'
    inferencer = MonoDistillInferencer(config_file, write_weights(tmp_path / 'a.pth', config_file), 'cpu', batch_size=2)
    for found in inferencer([picture(), picture(seed=1)], CAMERA):
        assert len(found) > 0
        assert found.classes == ('Pedestrian', 'Cyclist', 'Car')
        assert found.bboxes_3d.shape[1] == 7
        assert (found.bboxes_2d >= 0).all()
        assert (found.bboxes_2d <= [160, 48, 160, 48]).all()


@pytest.mark.real
def test_real_frames_raise_no_warning(inferencer, kitti_real, caplog):
    images = sorted((kitti_real / 'training' / 'image_2').glob('*.png'))[:2]
    with caplog.at_level(logging.WARNING, logger='mono_distill'):
        found = inferencer(images, kitti_real / 'training' / 'calib')
    assert [one.path for one in found] == [Path(path) for path in images]
    assert caplog.text == ''
