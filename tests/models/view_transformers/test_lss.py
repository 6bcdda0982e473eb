import torch
from bev_students import image_matrix, rig_cameras

from mono_distill.models.view_transformers import Cameras, LSSViewTransformer
from mono_distill.registry import MODELS


def test_one_convolution_makes_depth_and_context():
    transformer = MODELS.build(
        dict(type='mono_distill.LSSViewTransformer', in_channels=256, out_channels=64, d_bound=(1.0, 60.0, 1.0))
    )
    assert sum(parameter.numel() for parameter in transformer.parameters()) == (256 + 1) * (59 + 64)
    features = torch.randn(1, 6, 256, 2, 3)
    cameras = Cameras(*(matrix.float() for matrix in rig_cameras(image_matrix((32, 48)))))
    logits, context = transformer.predict_depth(features, cameras)
    joint = transformer.depth_net(features[0])
    assert torch.equal(torch.cat([logits, context], 2)[0], joint)
    assert logits.shape[2] == 59


def test_depth_is_not_supervised():
    assert LSSViewTransformer(4, 4).loss_depth_weight == 0
