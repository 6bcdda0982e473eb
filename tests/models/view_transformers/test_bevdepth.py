import torch
from bev_students import image_matrix, planar, rig_cameras

from mono_distill.models.view_transformers import BEVDepthViewTransformer, Cameras

SMALL = dict(mid_channels=8, num_blocks=1, aspp=False, dcn=False, camera_norm='LN')


def rig(pose=None):
    return Cameras(*(matrix.float() for matrix in rig_cameras(image_matrix((32, 64)), pose=pose)))


def build(**options):
    return BEVDepthViewTransformer(6, 4, depth_net=SMALL, **options)


def test_the_published_form():
    transformer = BEVDepthViewTransformer()
    assert transformer.bins.bins == 112
    assert transformer.grid.size == (128, 128)
    assert transformer.loss_depth_weight == 3.0


def test_the_depth_network_is_told_the_cameras_of_the_key_frame():
    transformer = build().eval()
    features = torch.randn(1, 6, 6, 2, 4)
    moved = rig(planar(30.0, 5.0, 5.0))
    alone, told = transformer(features, moved), transformer(features, moved, key_cameras=rig())
    key = transformer(features, rig())
    assert torch.equal(told.depth_logits, key.depth_logits)
    assert not torch.allclose(alone.depth_logits, key.depth_logits)
    # It still lies where the moved cameras saw it.
    assert not torch.allclose(told.bev, key.bev)


def test_its_loss_reaches_the_depth_branch_only():
    transformer = build()
    lifted = transformer(torch.randn(1, 6, 6, 2, 4), rig())
    transformer.loss_depth(lifted.depth_logits, torch.rand(1, 6, 2, 4) * 50 + 2).backward()
    net = transformer.depth_net
    assert net.depth_conv[-1].weight.grad.abs().sum() > 0
    assert net.context_conv.weight.grad is None
