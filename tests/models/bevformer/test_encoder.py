"""Tests of mono_distill.models.bevformer.encoder."""

import pytest
import torch
from bevformer_models import IMAGE, frame_matrices, rig

from mono_distill.models.bevformer.encoder import BEVFormerEncoder
from mono_distill.utils.errors import ConfigError, ShapeError

SHAPES = ((4, 6), (2, 3))


def encoder(**options):
    torch.manual_seed(0)
    defaults = dict(bev_size=(8, 10), num_layers=2, num_cameras=5, num_levels=2, num_heads=2, feedforward_channels=32)
    return BEVFormerEncoder(16, **{**defaults, **options}).eval()


def maps(batch=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 5, 16, *shape, generator=generator) for shape in SHAPES]


def encode(module, levels, frame=0, frames=2, **options):
    return module(levels, frame_matrices(rig(2, frames), frame), IMAGE, **options)


@torch.no_grad()
def test_every_cell_has_a_token():
    assert encode(encoder(), maps()).shape == (2, 80, 16)


@torch.no_grad()
def test_samples_of_a_batch_do_not_see_each_other():
    module, levels = encoder(), maps()
    both = encode(module, levels)
    for sample in range(2):
        matrices = {name: value[sample : sample + 1] for name, value in frame_matrices(rig()).items()}
        alone = module([level[sample : sample + 1] for level in levels], matrices, IMAGE)
        torch.testing.assert_close(both[sample : sample + 1], alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_frame_that_does_not_exist_is_not_looked_at():
    module, levels = encoder(), maps()
    prev, without = torch.randn(2, 80, 16), encode(module, levels)
    prev[1] = torch.nan
    mixed = encode(module, levels, prev=prev, exists=torch.tensor([True, False]))
    torch.testing.assert_close(mixed[1], without[1])
    assert not torch.allclose(mixed[0], without[0])
    prev[1] = 0.0
    torch.testing.assert_close(encode(module, levels, prev=prev)[0], mixed[0])


@torch.no_grad()
def test_a_past_frame_is_encoded_on_the_current_grid():
    """Moved back to where they were, the cameras of the past see a standing world in the same cells as those of now."""
    module, levels = encoder(), maps()
    now, past = encode(module, levels, 0), encode(module, levels, 1)
    assert not torch.allclose(now, past)
    matrices, current = frame_matrices(rig(2, 2), 1), frame_matrices(rig(2, 2), 0)
    motion = current['cam2lidar'][:, :1] @ torch.linalg.inv(matrices['cam2lidar'][:, :1])
    matrices['cam2lidar'] = motion @ matrices['cam2lidar']
    torch.testing.assert_close(module(levels, matrices, IMAGE), now, rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_mirrored_images_with_their_matrices_show_the_same():
    """One level, no half pixels: a mirrored map is the map of the mirrored image."""
    module, levels = encoder(num_levels=1, num_points=4), maps()[:1]
    for layer in module.layers:
        layer.cross_attn.sampling_offsets.bias.zero_()
    matrices = frame_matrices(rig())
    plain = module(levels, matrices, IMAGE)
    matrices['img_aug_matrix'][..., 0, 0], matrices['img_aug_matrix'][..., 0, 3] = -1.0, IMAGE[1] - 1.0
    torch.testing.assert_close(module([levels[0].flip(-1)], matrices, IMAGE), plain, rtol=1e-3, atol=1e-4)


def test_every_parameter_gets_a_gradient():
    module, levels = encoder(), [level.requires_grad_() for level in maps()]
    for parameter in module.layers.parameters():
        # Offsets do not depend on positions at first.
        torch.nn.init.normal_(parameter, std=0.1)
    encode(module, levels).square().sum().backward()
    assert [name for name, parameter in module.named_parameters() if not parameter.grad.abs().sum() > 0] == []
    assert all((level.grad.abs().sum((2, 3, 4)) > 0).all() for level in levels)


def test_initialisation_is_repeatable_and_reaches_all_parts():
    torch.manual_seed(3)
    module = encoder()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(4)
    module.init_weights()
    changed = [name for name, value in module.state_dict().items() if not torch.equal(before[name], value)]
    assert {'bev_embedding', 'camera_embed', 'level_embed', 'positional_encoding.row_embed.weight'} < set(changed)
    assert not any('sampling_offsets' in name for name in changed)
    assert module.layers[0].cross_attn.sampling_offsets.bias.abs().max() > 1


def test_mistakes_are_named():
    module = encoder()
    with pytest.raises(ShapeError, match='expected 2 of \\(B, 5, 16, h, w\\)'):
        encode(module, maps()[:1])
    with pytest.raises(ShapeError, match='num_cameras'):
        encode(module, [level[:, :4] for level in maps()])
    with pytest.raises(ConfigError, match='max_share must be a share of the grid or None, got 1.5'):
        encoder(max_share=1.5)
    with pytest.raises(ConfigError, match='point_range'):
        encoder(point_range=(0, 0, 0, 1, 1))
