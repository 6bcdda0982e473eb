import torch
from mmdet.models.layers import DeformableDetrTransformerEncoder

from mono_distill.models.monodetr.deformable_attention import flatten_maps
from mono_distill.models.monodetr.visual_encoder import MonoDETREncoder

SHAPES = ((6, 8), (3, 4), (2, 2))


def mmdet_encoder():
    return DeformableDetrTransformerEncoder(
        num_layers=2,
        layer_cfg=dict(
            self_attn_cfg=dict(embed_dims=16, num_heads=4, num_levels=3, num_points=2, dropout=0.0, batch_first=True),
            ffn_cfg=dict(embed_dims=16, feedforward_channels=24, ffn_drop=0.0),
        ),
    )


def test_names_and_numbers_are_those_of_mmdet():
    ours = MonoDETREncoder(2, 16, num_heads=4, num_levels=3, num_points=2, feedforward_channels=24, dropout=0.0)
    theirs = mmdet_encoder()
    theirs.load_state_dict(ours.state_dict())
    levels = flatten_maps([torch.randn(2, 16, *shape) for shape in SHAPES])
    pos = torch.randn(1, levels.tokens.shape[1], 16)
    expected = theirs(
        levels.tokens,
        pos.expand(2, -1, -1),
        None,
        spatial_shapes=torch.tensor(SHAPES),
        level_start_index=torch.tensor([0, 48, 60]),
        valid_ratios=torch.ones(2, 3, 2),
    )
    torch.testing.assert_close(ours(levels, pos).tokens, expected)
