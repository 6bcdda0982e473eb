"""What a picture of another aspect ratio loses, from numbers worked out by hand."""

from __future__ import annotations

import pytest

from mono_distill.apis.inference.intrinsics import as_cam2img
from mono_distill.apis.inference.view import check_principal_point, check_view, view_of
from mono_distill.datasets.transforms.geometry import crop_affine
from mono_distill.utils.errors import DataError


def meta(width, height, size=(1280, 384)):
    return dict(
        trans_mat=crop_affine((width, height), size),
        crop_scale=1.0,
        ori_shape=(height, width),
        img_shape=(size[1], size[0]),
    )


@pytest.mark.parametrize(('width', 'height'), [(1242, 375), (1224, 370), (1238, 374), (1241, 376), (1280, 384)])
def test_kittis_own_pictures_raise_no_eyebrow(width, height):
    assert check_view(meta(width, height), 'street.png') is None


def test_a_taller_picture_is_seen_in_part():
    # 1920 pixels fill 1280: the factor is 2/3, so 384 rows show 576 of 1080, from (1080 - 576) / 2 = 252 on.
    view = view_of(meta(1920, 1080))
    assert view.window == pytest.approx((0, 252, 1920, 828))
    assert view.seen == pytest.approx(576 / 1080)
    assert view.filled == pytest.approx(1)
    warning = check_view(meta(1920, 1080), 'street.png')
    assert 'street.png is 1920x1080 (1.78:1), the network looks at 1280x384 (3.33:1)' in warning
    assert 'rows 252 to 828, 53% of the picture' in warning


def test_a_wider_picture_leaves_black_rows():
    # 2560 pixels fill 1280: 400 rows fill 200 of 384.
    view = view_of(meta(2560, 400))
    assert view.seen == pytest.approx(1)
    assert view.filled == pytest.approx(200 / 384)
    assert 'the picture fills 52% of it, the rest is black' in check_view(meta(2560, 400), 'pano.png')


@pytest.mark.parametrize(('width', 'height'), [(1080, 1920), (6000, 400)])
def test_a_picture_that_has_little_in_common_with_the_input_is_refused(width, height):
    with pytest.raises(DataError, match='odd.png'):
        check_view(meta(width, height), 'odd.png')


@pytest.mark.parametrize('lacking', ['trans_mat', 'crop_scale'])
def test_pipelines_of_mmdet3d_are_not_judged(lacking):
    metainfo = meta(100, 200)
    del metainfo[lacking]
    assert check_view(metainfo, 'a.png') is None


def test_intrinsics_of_another_size_are_noticed():
    camera = as_cam2img((721, 721, 609, 173))
    assert check_principal_point(camera, (1242, 375), 'a.png') is None
    assert 'are these the intrinsics of pictures of this size' in check_principal_point(camera, (310, 94), 'a.png')
