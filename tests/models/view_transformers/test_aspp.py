import torch

from mono_distill.models.view_transformers.aspp import ASPP


def test_it_has_the_parameters_of_five_branches_and_a_merge():
    channels = 16
    convolutions = channels**2 * (1 + 3 * 9 + 1 + 5)
    norms = 2 * channels * 6
    assert sum(parameter.numel() for parameter in ASPP(channels).parameters()) == convolutions + norms


def test_a_place_sees_as_far_as_its_widest_dilation():
    layer = ASPP(32, dropout=0.0).eval()
    torch.nn.init.zeros_(layer.whole[1].weight)
    x = torch.randn(1, 32, 1, 64, requires_grad=True)
    layer(x)[0, :, 0, 32].sum().backward()
    reached = (x.grad[0].abs().sum((0, 1)) > 0).nonzero().flatten() - 32
    assert set(reached.tolist()) <= {-18, -12, -6, 0, 6, 12, 18}
    assert {-18, 18} <= set(reached.tolist())


def test_a_single_image_trains():
    layer = ASPP(4).train()
    layer(torch.randn(1, 4, 3, 5)).sum().backward()
    assert layer.merge[0].weight.grad.isfinite().all()
