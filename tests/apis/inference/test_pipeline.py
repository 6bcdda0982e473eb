"""The test pipeline of a config takes pictures; one that needs more is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from tiny_inference import CONFIG, picture

from mono_distill.apis.inference.images import ImageSource
from mono_distill.apis.inference.intrinsics import as_cam2img
from mono_distill.apis.inference.pipeline import InferencePipeline
from mono_distill.utils.errors import ConfigError

CONFIGS = CONFIG.parent.parent
CAMERA = as_cam2img((100, 100, 80, 24))


@pytest.fixture
def config():
    return Config.fromfile(CONFIG)


def run(config, image):
    return InferencePipeline(config)(image, CAMERA, ImageSource('frame', Path('folder/frame.png')))


def test_a_picture_becomes_the_networks_input(config):
    sample = run(config, picture())
    metainfo = sample['data_samples'].metainfo
    assert tuple(sample['inputs']['img'].shape) == (3, 96, 320)
    assert metainfo['ori_shape'] == (48, 160)
    assert np.array_equal(metainfo['ori_cam2img'], CAMERA)
    # Twice as large: 160 columns fill 320.
    assert np.array_equal(metainfo['cam2img'][:2, :3], [[200, 0, 160], [0, 200, 48]])
    assert (metainfo['sample_id'], metainfo['img_path']) == ('frame', 'folder/frame.png')


def test_the_given_picture_is_not_changed(config):
    image = picture()
    before = image.copy()
    run(config, image)
    assert np.array_equal(image, before)


def test_classes_come_from_the_data_set_of_the_config_or_its_class(config):
    assert InferencePipeline(config).classes == ('Pedestrian', 'Car', 'Cyclist')
    config.test_dataloader.dataset.metainfo = dict(classes=('Car',))
    assert InferencePipeline(config).classes == ('Car',)
    del config.test_dataloader.dataset.metainfo
    assert InferencePipeline(config).classes == ('Pedestrian', 'Car', 'Cyclist')


def test_a_cached_pipeline_does_not_take_pictures_for_each_other(config):
    steps = config.test_dataloader.dataset.pipeline
    steps[:2] = [dict(type='mono_distill.CacheTransforms', transforms=steps[:2])]
    pipeline = InferencePipeline(config)
    first, second = (pipeline(picture(seed=seed), CAMERA, ImageSource(str(seed)))['inputs']['img'] for seed in (1, 2))
    assert (first != second).any()


def test_the_pipeline_of_a_wrapped_data_set_is_found(config):
    config.test_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=config.test_dataloader.dataset)]
    )
    assert tuple(run(config, picture())['inputs']['img'].shape) == (3, 96, 320)


def test_a_depth_teacher_is_refused():
    config = Config.fromfile(CONFIGS / 'teachers' / 'monodle_depth_tiny_kitti.py')
    with pytest.raises(ConfigError, match='looks at LiDAR depth maps.*student of a distillation'):
        InferencePipeline(config)


def test_a_pipeline_that_carries_depth_along_needs_none_for_a_camera_detector(config):
    dataset = config.test_dataloader.dataset
    expected = run(config, picture())['inputs']['img']
    dataset.pipeline = [dict(type='mono_distill.WithDepthMap', transforms=dataset.pipeline)]
    inputs = run(config, picture())['inputs']
    assert set(inputs) == {'img'}
    assert (inputs['img'] == expected).all()
    config.model.data_preprocessor = dict(type='mono_distill.DepthDet3DDataPreprocessor')
    with pytest.raises(ConfigError, match='looks at LiDAR depth maps'):
        InferencePipeline(config)


@pytest.mark.parametrize(
    ('step', 'what'), [('LoadDepthMap', 'LiDAR depth maps'), ('LoadMonoKittiAnnotations', 'annotations')]
)
def test_a_pipeline_that_reads_more_than_a_picture_is_refused(config, step, what):
    config.test_dataloader.dataset.pipeline.insert(1, dict(type=f'mono_distill.{step}'))
    with pytest.raises(ConfigError, match=f'reads {what} \\({step}\\)'):
        InferencePipeline(config)


def test_a_config_without_a_test_pipeline_is_refused(config):
    config.test_dataloader.dataset.pipeline = [dict(type='mono_distill.PackMono3DInputs')]
    with pytest.raises(ConfigError, match='does not begin with one of LoadMonoImage'):
        InferencePipeline(config)
    config.test_dataloader = config.val_dataloader = None
    with pytest.raises(ConfigError, match='neither a test_dataloader nor a val_dataloader'):
        InferencePipeline(config)
