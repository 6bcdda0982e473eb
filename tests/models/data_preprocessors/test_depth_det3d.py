import pytest
import torch
from mmdet3d.structures import Det3DDataSample

from mono_distill.models.data_preprocessors import DepthDet3DDataPreprocessor, normalize_depth
from mono_distill.utils.errors import ConfigError, DataError


def batch(*shapes):
    depths = [torch.rand(1, *shape) * 60 for shape in shapes]
    samples = [Det3DDataSample(metainfo=dict(img_shape=shape)) for shape in shapes]
    pictures = [torch.zeros(3, *shape, dtype=torch.uint8) for shape in shapes]
    return depths, dict(inputs=dict(img=pictures, depth_map=depths), data_samples=samples)


def test_the_network_sees_normalised_depth_three_times():
    depths, data = batch((32, 64), (32, 64))
    prepared = DepthDet3DDataPreprocessor(32)(data)
    assert list(prepared['inputs']) == ['imgs']
    expected = normalize_depth(torch.stack(depths))
    assert torch.equal(prepared['inputs']['imgs'], expected.repeat(1, 3, 1, 1))


def test_padding_is_missing_depth():
    depths, data = batch((30, 60), (32, 40))
    prepared = DepthDet3DDataPreprocessor(32)(data)
    imgs = prepared['inputs']['imgs']
    assert imgs.shape == (2, 3, 32, 64)
    missing = normalize_depth(torch.tensor(0.0))
    assert (imgs[0, :, 30:] == missing).all()
    assert (imgs[1, :, :, 40:] == missing).all()
    assert torch.equal(imgs[1, 0, :, :40], normalize_depth(depths[1][0]))
    assert prepared['data_samples'][0].batch_input_shape == (32, 64)


def test_another_normalisation():
    depths, data = batch((32, 32))
    prepared = DepthDet3DDataPreprocessor(32, depth_normalize='monoskd')(data)
    assert torch.equal(prepared['inputs']['imgs'][0, 0], depths[0][0] / 256 / 80)


def test_errors_say_what_to_do():
    _, data = batch((32, 32))
    del data['inputs']['depth_map']
    with pytest.raises(DataError, match='WithDepthMap'):
        DepthDet3DDataPreprocessor()(data)
    with pytest.raises(ConfigError, match="did you mean 'metric'"):
        DepthDet3DDataPreprocessor(depth_normalize='metrik')
