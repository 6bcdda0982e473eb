from __future__ import annotations

import copy

import pytest
import torch
from mmdet3d.structures import Det3DDataSample
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData

from mono_distill.models import Mono3DDataPreprocessor
from mono_distill.registry import MODELS
from mono_distill.utils.errors import ConfigError, DataError, ShapeError

MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def _sample(name='000001', size=(4, 6), crop_scale=1.0, dtype=torch.uint8, depth=True):
    generator = torch.Generator().manual_seed(int(name))
    inputs = dict(img=torch.randint(0, 256, (3, *size), generator=generator).to(dtype))
    if depth:
        inputs['depth_map'] = torch.rand((1, *size), generator=generator) * 80
    sample = Det3DDataSample(metainfo=dict(sample_id=name, crop_scale=crop_scale))
    sample.gt_instances_3d = InstanceData(depths=torch.ones(2))
    return dict(inputs=inputs, data_samples=sample)


def _batch(**kwargs):
    return pseudo_collate([_sample('000001', **kwargs), _sample('000002', **kwargs)])


@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_pictures_become_normalised_rgb(dtype):
    batch = _batch(dtype=dtype)
    images = Mono3DDataPreprocessor()(batch)['inputs']['imgs']
    expected = (batch['inputs']['img'][1].float()[[2, 1, 0]] - MEAN) / STD
    assert images.shape == (2, 3, 4, 6)
    torch.testing.assert_close(images[1], expected)


@pytest.mark.parametrize(('modality', 'other'), [('rgb', 'depth_map'), ('depth', 'img')])
def test_the_input_that_is_not_looked_at_is_not_moved(modality, other):
    batch = _batch()
    moved = []
    for value in batch['inputs'][other]:
        value.to = lambda *args, **kwargs: moved.append(1)
    assert set(Mono3DDataPreprocessor(modality)(batch)['inputs']) == {'imgs'}
    assert moved == []


def test_depth_input_is_scaled_with_the_crop_and_repeated_in_three_channels():
    batch = pseudo_collate([_sample('000001', crop_scale=1.3), _sample('000002', crop_scale=1.0)])
    inputs = Mono3DDataPreprocessor('depth', depth_normalize='monoskd')(batch)['inputs']
    assert inputs['imgs'].shape == (2, 3, 4, 6)
    for channel in range(3):
        torch.testing.assert_close(inputs['imgs'][0, channel], batch['inputs']['depth_map'][0][0] * 1.3 / 20480)
        torch.testing.assert_close(inputs['imgs'][1, channel], batch['inputs']['depth_map'][1][0] / 20480)


@pytest.mark.parametrize('modality', ['rgb', 'depth'])
def test_nothing_that_comes_in_is_changed(modality):
    batch = _batch(crop_scale=0.8, dtype=torch.float32)
    before = copy.deepcopy(batch)
    out = Mono3DDataPreprocessor(modality)(batch)
    out['inputs']['imgs'].zero_()
    assert set(batch) == set(before)
    assert set(batch['inputs']) == set(before['inputs'])
    for key in before['inputs']:
        for now, then in zip(batch['inputs'][key], before['inputs'][key], strict=True):
            torch.testing.assert_close(now, then)
    for now, then in zip(batch['data_samples'], before['data_samples'], strict=True):
        assert now.metainfo == then.metainfo
        torch.testing.assert_close(now.gt_instances_3d.depths, then.gt_instances_3d.depths)


def test_two_preprocessors_can_share_a_batch():
    batch = _batch()
    rgb, depth = Mono3DDataPreprocessor('rgb'), Mono3DDataPreprocessor('depth')
    first = rgb(batch)['inputs']['imgs']
    depth(batch)
    torch.testing.assert_close(rgb(batch)['inputs']['imgs'], first)


def test_a_stacked_batch_is_accepted():
    batch = _batch()
    stacked = dict(batch, inputs={key: torch.stack(values) for key, values in batch['inputs'].items()})
    ours, theirs = (Mono3DDataPreprocessor('depth')(data)['inputs']['imgs'] for data in (batch, stacked))
    torch.testing.assert_close(ours, theirs)


def test_batches_without_data_samples_are_accepted():
    batch = dict(inputs=_batch(depth=False)['inputs'])
    out = Mono3DDataPreprocessor()(batch)
    assert set(out['inputs']) == {'imgs'}
    assert out['data_samples'] is None


def test_pictures_of_unequal_size_name_samples_and_cure():
    batch = pseudo_collate([_sample('000001', depth=False), _sample('000002', size=(4, 8), depth=False)])
    with pytest.raises(ShapeError, match=r'img: .*differ in size.*samples 000001, 000002.*MonoRandomCropAffine'):
        Mono3DDataPreprocessor()(batch)


def test_a_wrong_number_of_channels_is_refused():
    batch = _batch()
    batch['inputs']['img'] = [image[:2] for image in batch['inputs']['img']]
    with pytest.raises(ShapeError, match=r'img: expected \(3, H, W\) per sample, got \[\(2, 4, 6\)'):
        Mono3DDataPreprocessor()(batch)


def test_a_missing_depth_map_names_samples_and_the_transform_that_loads_it():
    with pytest.raises(DataError, match=r'samples 000001, 000002.*mono_distill.LoadDepthMap'):
        Mono3DDataPreprocessor('depth')(_batch(depth=False))


def test_a_missing_picture_is_refused():
    batch = _batch()
    del batch['inputs']['img']
    with pytest.raises(DataError, match=r'no img among the inputs \(samples 000001, 000002\); add mono_dist'):
        Mono3DDataPreprocessor()(batch)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(modality='lidar'), "'rgb' or 'depth', got 'lidar'"),
        (dict(depth_normalize='log'), "unknown depth_normalize 'log'; Known: metric, monodistill, monoskd"),
        (dict(std=[1, 0, 1]), 'std > 0'),
        (dict(mean=[1, 2]), 'need 3 values'),
    ],
)
def test_impossible_settings_are_refused(kwargs, message):
    with pytest.raises(ConfigError, match=message):
        Mono3DDataPreprocessor(**kwargs)


def test_it_adds_nothing_to_checkpoints():
    model = MODELS.build(dict(type='mono_distill.Mono3DDataPreprocessor', modality='depth'))
    assert not model.state_dict()
    assert not list(model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_batches_are_moved_to_the_device():
    out = Mono3DDataPreprocessor('depth').to('cuda')(_batch(crop_scale=1.2))
    assert out['inputs']['imgs'].is_cuda
    assert out['data_samples'][0].gt_instances_3d.depths.is_cuda
