"""Pipelines of mmdet3d carry the depth map along."""

import cv2
import mmdet3d.datasets  # noqa: F401  (registers the transforms)
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope

from mono_distill.datasets import WithDepthMap
from mono_distill.utils.errors import ConfigError, DataError

LOAD = dict(type='mmdet3d.LoadImageFromFileMono3D')
PACK = dict(type='mmdet3d.Pack3DDetInputs', keys=['img'])
# Renames nothing: a transform that neither reads nor makes a picture.
NOTHING = dict(type='mmcv.KeyMapper', transforms=[], mapping={})
HEIGHT, WIDTH = 24, 40


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmdet3d')


@pytest.fixture
def frame(tmp_path):
    """A picture whose red channel is its depth in metres, and both files."""
    depth = np.tile(np.arange(10, 10 + WIDTH, dtype=np.float32), (HEIGHT, 1)) + np.arange(HEIGHT)[:, None]
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 2] = depth
    depth[:8] = 0  # sky
    for folder, content in (('image_2', picture), ('depth_dense', (depth * 256).astype(np.uint16))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / '000007.png'), content)
    return {'images': {'CAM2': {'img_path': str(tmp_path / 'image_2' / '000007.png'), 'cam2img': np.eye(4).tolist()}}}


def run(frame, *between, **options):
    inputs = WithDepthMap([LOAD, *between, PACK], **options)(frame)['inputs']
    return inputs['img'], inputs['depth_map']


def test_both_are_packed_side_by_side(frame):
    image, depth = run(frame)
    assert image.dtype == torch.uint8
    assert image.shape == (3, HEIGHT, WIDTH)
    assert depth.shape == (1, HEIGHT, WIDTH)
    assert depth.dtype == torch.float32
    assert torch.equal(depth[0, 8:-1, 1:-1], image[2, 8:-1, 1:-1].float())
    assert (depth[0, :8] == 0).all()


@pytest.mark.parametrize(
    'transform',
    [
        dict(type='mmdet3d.RandomFlip3D', flip_ratio_bev_horizontal=1.0, flip_box3d=False),
        dict(type='mmdet3d.AffineResize', img_scale=(60, 36), down_ratio=4),
        dict(type='mmdet.Resize', scale=(80, 48), keep_ratio=True),
        dict(type='mmdet.Resize', scale=(30, 18), keep_ratio=True),
    ],
    ids=['flip', 'affine', 'larger', 'smaller'],
)
def test_depth_goes_where_the_picture_goes(frame, transform):
    image, depth = run(frame, transform)
    known = depth[0] > 0
    assert depth.shape[1:] == image.shape[1:]
    assert known.float().mean() > 0.5
    # The picture holds whole metres.
    assert (depth[0] - image[2])[known].abs().max() <= 0.51


def test_the_picture_is_what_it_would_be_alone(frame):
    from mmcv.transforms import Compose

    transforms = [
        dict(type='mmdet3d.RandomFlip3D', flip_ratio_bev_horizontal=1.0, flip_box3d=False),
        dict(type='mmdet.Resize', scale=(100, 60), keep_ratio=True),
    ]
    together, _ = run(frame, *transforms)
    alone = Compose([LOAD, *transforms, PACK])(frame)['inputs']['img']
    # OpenCV rounds the weights of 8-bit pictures: one grey value of difference.
    assert (together.int() - alone.int()).abs().max() <= 1


def test_no_depth_is_made_up_at_the_edge_of_missing_pixels(frame):
    _, depth = run(frame, dict(type='mmdet.Resize', scale=(100, 60), keep_ratio=True))
    known = depth[depth > 0]
    assert known.min() >= 18  # the least measured depth; half of it would be interpolated with nothing
    assert (depth[0, :16] == 0).all()


def test_no_depth_is_made_up_at_the_edge_of_the_picture(frame):
    # A window that is larger than the picture: what it does not fill is 0.
    frame.update(center=np.float32([WIDTH, HEIGHT]) / 2, size=np.float32([WIDTH, HEIGHT]) * 1.3, affine_aug=True)
    _, depth = run(frame, dict(type='mmdet3d.AffineResize', img_scale=(WIDTH, HEIGHT), down_ratio=4))
    known = depth[depth > 0]
    assert len(known) > 0.3 * depth.numel()
    assert known.min() >= 18


def test_colours_change_before_depth_joins(frame):
    colour = dict(type='mmdet3d.PhotoMetricDistortion3D')
    _, depth = run(frame, colour, dict(type='mmdet.Resize', scale=(80, 48)), join_after=2)
    assert depth.shape == (1, 48, 80)


def test_other_folders_and_a_path_of_its_own(frame, tmp_path):
    (tmp_path / 'depth_dense').rename(tmp_path / 'lidar')
    _, depth = run(frame, depth_folder='lidar')
    assert depth.max() > 0
    frame['depth_map_path'] = str(tmp_path / 'lidar' / '000007.png')
    assert torch.equal(run(frame)[1], depth)


def test_a_single_camera_of_another_name_is_read(frame):
    frame['images'] = {'CAM_FRONT': frame['images']['CAM2']}
    assert run(frame)[1].max() > 0


def test_a_sample_that_a_transform_drops_is_dropped(frame):
    class Drop:
        def __call__(self, results):
            return None

    pipeline = WithDepthMap([LOAD, PACK])
    pipeline.transforms.insert(1, Drop())
    assert pipeline(frame) is None


def test_mistakes_are_named(frame, tmp_path):
    with pytest.raises(ConfigError, match='join_after=2 of 2'):
        WithDepthMap([LOAD, PACK], join_after=2)
    with pytest.raises(ConfigError, match="'photos' is no part"):
        run(frame, image_folder='photos')
    with pytest.raises(DataError, match='nowhere'):
        run(frame, depth_folder='nowhere')
    with pytest.raises(DataError, match='before the picture is resized'):
        run(frame, dict(type='mmdet.Resize', scale=(80, 48)), join_after=2)
    with pytest.raises(ConfigError, match='no picture after 1 transforms'):
        WithDepthMap([NOTHING, LOAD, PACK])({'images': frame['images']})
    with pytest.raises(DataError, match=r'expected \(4, H, W\)'):
        WithDepthMap([LOAD, dict(type='mmdet.Resize', scale=(80, 48))])(frame)
