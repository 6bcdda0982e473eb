from __future__ import annotations

import numpy as np
import pytest
import torch

from mono_distill.datasets.transforms.geometry import affine_cam2img, crop_affine, flip_cam2img
from mono_distill.models import PixelGeometryReader
from mono_distill.registry import TASK_UTILS
from mono_distill.utils.errors import ConfigError, DataError

CAM2IMG = np.array([[721.5377, 0, 609.5593, 44.85728], [0, 721.5377, 172.854, 0.2163791], [0, 0, 1, 0.002745884]])
CASES = ['val', *(f'train_flip{flip}_crop{crop}' for flip in (0, 1) for crop in (0, 1))]


def meta(scale=1.0, shift=(0.0, 0.0), flip=False):
    return dict(
        ori_cam2img=CAM2IMG,
        trans_mat=crop_affine((1242, 375), (1280, 384), scale, shift),
        ori_shape=(375, 1242),
        img_shape=(384, 1280),
        flip=flip,
    )


@pytest.mark.parametrize('flip', [False, True])
def test_a_point_lies_on_the_ray_of_its_pixel(flip):
    image = meta(1.3, (50.0, -10.0), flip)
    camera = flip_cam2img(CAM2IMG, 1242) if flip else CAM2IMG
    point = np.array([3.0, 1.2, 20.0, 1.0])
    pixel = (affine_cam2img(camera, image['trans_mat']) @ point)[:2] / point[2]
    geometry = PixelGeometryReader()([image], torch.zeros(1, dtype=torch.float64))
    ray = geometry.rays(torch.tensor(pixel).view(1, 1, 2)).flatten()
    # The camera's own offset, P[0, 3] / f, is met at a depth of 1 m, the depth the coordinate maps refer to.
    own = camera[:2, 3] / 721.5377
    expected = [(x + own[i]) / 20 - own[i] for i, x in enumerate(point[:2])]
    assert ray.tolist() == pytest.approx(expected, abs=1e-9)
    direction = geometry.directions(torch.tensor(pixel).view(1, 1, 2)).flatten()
    assert direction.tolist() == pytest.approx([(x + own[i]) / 20 for i, x in enumerate(point[:2])], abs=1e-9)


@pytest.mark.parametrize('case', CASES)
def test_official_mode_maps_the_input_onto_the_official_crop_window(golden, case):
    """``coord_range`` of the official data set: the corners of the window, in (flipped) image pixels."""
    file = golden('dataset_did')
    crop = 'crop1' in case
    draws, (scale, shift) = file['randn_sequence'], file['scale_shift_cfg']
    window = (1242, 375)
    offset = tuple(window[i] * float(np.clip(draws[i + 1] * shift, -0.2, 0.2)) if crop else 0.0 for i in (0, 1))
    image = meta(1 + draws[0] * scale if crop else 1.0, offset, 'flip1' in case)
    geometry = PixelGeometryReader('official')([image], torch.zeros(1, dtype=torch.float64))
    corners = torch.tensor([[[0.0, 0], [1280, 384]]], dtype=torch.float64)
    camera = file[f'{case}/P2'].astype(np.float64)
    expected = (file[f'{case}/coord_range'] - camera[:2, 2] - camera[:2, 3]) / camera[[0, 1], [0, 1]]
    np.testing.assert_allclose(geometry.rays(corners)[0], expected, rtol=0, atol=1e-6)
    size = file[f'{case}/coord_range'][1] - file[f'{case}/coord_range'][0]
    np.testing.assert_allclose(geometry.image_scale[0], size / (1280, 384), rtol=1e-6)


def test_modes_differ_vertically_only():
    pixels = torch.tensor([[[0.0, 0], [640, 192], [1280, 384]]], dtype=torch.float64)
    exact, official = (PixelGeometryReader(mode)([meta()], pixels).rays(pixels)[0] for mode in ('exact', 'official'))
    torch.testing.assert_close(exact[:, 0], official[:, 0])
    assert ((exact[:, 1] - official[:, 1]) * 721.5377).tolist() == pytest.approx([1.2, 0, -1.2], abs=0.1)


def test_images_of_a_batch_have_their_own_geometry():
    pixels = torch.zeros(2, 1, 2)
    rays = PixelGeometryReader()([meta(), meta(flip=True)], pixels).rays(pixels)
    assert rays[0, 0, 0] != rays[1, 0, 0]
    assert rays[0, 0, 1] == rays[1, 0, 1]


def test_errors_are_named():
    with pytest.raises(ConfigError, match="unknown mode 'offical'; did you mean 'official'"):
        TASK_UTILS.build(dict(type='mono_distill.PixelGeometryReader', mode='offical'))
    with pytest.raises(DataError, match=r"lacks \['ori_shape'\].*PackMono3DInputs"):
        PixelGeometryReader()([{k: v for k, v in meta().items() if k != 'ori_shape'}], torch.zeros(1))
