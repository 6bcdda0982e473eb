"""The depth head is torchvision's DeepLab head in size and shape."""

import torch

from mono_distill.models.monotakd import DeepLabDepthHead


def test_parameters_of_the_published_head():
    pointwise, norm = 2048 * 256, 2 * 256
    dilated = 2048 * 256 * 9
    pyramid = 2 * (pointwise + norm) + 3 * (dilated + norm) + 5 * 256 * 256 + norm
    rest = 256 * 256 * 9 + norm + 256 * 121 + 121
    assert sum(p.numel() for p in DeepLabDepthHead().parameters()) == pyramid + rest == 16_156_537


def test_group_norm_trains_on_one_image_and_batch_norm_does_not_fail():
    for groups in (4, None):
        head = DeepLabDepthHead(8, 5, 8, dilations=(1, 2), norm_groups=groups).train()
        logits = head(torch.randn(1, 8, 6, 7))
        assert logits.shape == (1, 6, 6, 7)
        logits.square().sum().backward()
        assert head.branches[0][0].weight.grad.abs().sum() > 0


def test_every_place_sees_the_whole_picture():
    head = DeepLabDepthHead(4, 3, 8, dilations=(1,), dropout=0.0).eval()
    features = torch.randn(1, 4, 20, 20, requires_grad=True)
    head(features)[0, 0, 0, 0].backward()
    assert features.grad[0, :, 19, 19].abs().sum() > 0
