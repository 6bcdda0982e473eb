import math

import pytest
import torch

from mono_distill.ops import gaussian_heatmap as module
from mono_distill.ops.gaussian_heatmap import gaussian_heatmaps, heatmap_radii
from mono_distill.utils.errors import ConfigError, ShapeError

SIZE = (13, 17)


def random_objects(batch=3, count=9, reach=0, seed=0):
    """Centres (up to ``reach`` off the map), radii and classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-reach, SIZE[1] + reach, (batch, count), generator=generator)
    y = torch.randint(-reach, SIZE[0] + reach, (batch, count), generator=generator)
    radii = torch.randint(6, (batch, count), generator=generator)
    return torch.stack([x, y], -1), radii, torch.randint(3, (batch, count), generator=generator)


def drawn(centres, radii, classes):
    """One pixel of one object after another, in Python's double precision."""
    heatmaps = torch.zeros(centres.shape[0], 3, *SIZE)
    for b in range(centres.shape[0]):
        for (x, y), radius, k in zip(centres[b].tolist(), radii[b].tolist(), classes[b].tolist(), strict=True):
            sigma = (2 * radius + 1) / 6
            for row in range(max(0, y - radius), min(SIZE[0], y + radius + 1)):
                for column in range(max(0, x - radius), min(SIZE[1], x + radius + 1)):
                    value = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
                    heatmaps[b, k, row, column] = max(heatmaps[b, k, row, column].item(), value)
    return heatmaps


@pytest.mark.parametrize('max_radius', [None, 5, 50])
@pytest.mark.parametrize('reach', [0, 7])
def test_equals_one_pixel_after_another(reach, max_radius):
    centres, radii, classes = random_objects(reach=reach)
    actual = gaussian_heatmaps(centres, radii, SIZE, classes=classes, num_classes=3, max_radius=max_radius)
    torch.testing.assert_close(actual, drawn(centres, radii, classes), rtol=1e-7, atol=0)


def test_equals_mmdet3d_to_the_bit():
    utils = pytest.importorskip('mmdet3d.models.utils')
    centres, radii, classes = random_objects(count=25)
    expected = torch.zeros(3, 3, *SIZE)
    for b in range(3):
        for centre, radius, k in zip(centres[b], radii[b].tolist(), classes[b].tolist(), strict=True):
            utils.draw_heatmap_gaussian(expected[b, k], centre, radius)
    assert torch.equal(gaussian_heatmaps(centres, radii, SIZE, classes=classes, num_classes=3), expected)


def test_values_at_the_rim_are_far_above_the_cut_of_the_official_code():
    """The cut is at 2.2e-16 of the peak; a corner of the square keeps more than exp(-9)."""
    radii = torch.arange(40).unsqueeze(1)
    centres = torch.full((40, 1, 2), 40)
    heatmaps = gaussian_heatmaps(centres, radii, (81, 81))
    corner = heatmaps[torch.arange(40), 0, 40 - radii[:, 0], 40 - radii[:, 0]]
    assert (corner > math.exp(-9)).all()
    assert (heatmaps > 0).sum((1, 2, 3)).tolist() == [(2 * r + 1) ** 2 for r in range(40)]


def test_a_smaller_bound_cuts_the_square():
    heatmap = gaussian_heatmaps(torch.tensor([[[5, 5]]]), torch.tensor([[4]]), SIZE, max_radius=2)[0, 0]
    whole = gaussian_heatmaps(torch.tensor([[[5, 5]]]), torch.tensor([[4]]), SIZE)[0, 0]
    assert (heatmap > 0).sum() == 25
    assert torch.equal(heatmap[3:8, 3:8], whole[3:8, 3:8])


def test_result_does_not_depend_on_the_chunks(monkeypatch):
    centres, radii, classes = random_objects()
    expected = gaussian_heatmaps(centres, radii, SIZE, classes=classes, num_classes=3)
    monkeypatch.setattr(module, 'CHUNK', 1000)
    assert torch.equal(gaussian_heatmaps(centres, radii, SIZE, classes=classes, num_classes=3), expected)


def test_invalid_slots_may_hold_anything():
    centres, radii, classes = random_objects()
    valid = torch.arange(9) < 6
    expected = gaussian_heatmaps(centres[:, :6], radii[:, :6], SIZE, classes=classes[:, :6], num_classes=3)
    centres[:, 6:], radii[:, 6:], classes[:, 6:] = 10**12, -(10**12), 10**12
    actual = gaussian_heatmaps(centres, radii, SIZE, classes=classes, num_classes=3, valid=valid.expand(3, 9))
    assert torch.equal(actual, expected)


def test_without_objects_the_map_is_empty():
    for max_radius in (None, 3):
        heatmaps = gaussian_heatmaps(torch.zeros(2, 0, 2), torch.zeros(2, 0), SIZE, max_radius=max_radius)
        assert heatmaps.shape == (2, 1, *SIZE)
        assert not heatmaps.any()


@pytest.mark.parametrize('max_radius', [None, 5])
def test_graph_is_captured_whole(max_radius):
    centres, radii, classes = random_objects()
    options = dict(classes=classes, num_classes=3, max_radius=max_radius)
    compiled = torch.compile(gaussian_heatmaps, fullgraph=True, backend='aot_eager')
    assert torch.equal(compiled(centres, radii, SIZE, **options), gaussian_heatmaps(centres, radii, SIZE, **options))


@pytest.mark.parametrize('max_radius', [None, 2])
def test_no_value_is_read_back_to_the_host(max_radius):
    """Tensors of the meta device have no values to read."""
    centres, radii = torch.zeros(2, 4, 2, device='meta'), torch.zeros(2, 4, device='meta')
    assert gaussian_heatmaps(centres, radii, SIZE, max_radius=max_radius).shape == (2, 1, *SIZE)


@pytest.mark.parametrize('min_overlap', [0.1, 0.7])
def test_radii_are_those_of_mmdet3d(min_overlap):
    utils = pytest.importorskip('mmdet3d.models.utils')
    sizes = torch.rand(1000, 2, generator=torch.Generator().manual_seed(0)) * 40
    radii = heatmap_radii(sizes[:, 0], sizes[:, 1], min_overlap=min_overlap, min_radius=2)
    expected = [max(2, int(utils.gaussian_radius((h, w), min_overlap))) for h, w in sizes]
    assert radii.tolist() == expected


def test_refuses_what_does_not_fit():
    with pytest.raises(ShapeError, match=r'centres \(B, N, 2\)'):
        gaussian_heatmaps(torch.zeros(2, 3), torch.zeros(2, 3), SIZE)
    with pytest.raises(ShapeError, match='classes'):
        gaussian_heatmaps(torch.zeros(2, 3, 2), torch.zeros(2, 3), SIZE, classes=torch.zeros(2, 4))


def test_a_negative_radius_is_refused():
    with pytest.raises(ConfigError, match='heatmap_radii: min_radius must not be negative, got -2'):
        heatmap_radii(torch.ones(3), torch.ones(3), min_overlap=0.7, min_radius=-2)
