import pytest
import torch
from torch import nn

from mono_distill.models.detectors.kept_statistics import kept_statistics


def test_norms_use_the_batch_but_do_not_remember_it():
    layers = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, momentum=0.25))
    x = torch.randn(4, 2, 5, 5) + 3
    with kept_statistics([layers]):
        kept = layers(x)
    assert torch.equal(layers[1].running_mean, torch.zeros(3))
    assert torch.equal(layers[1].running_var, torch.ones(3))
    assert torch.equal(kept, layers(x))
    assert layers[1].running_mean.abs().sum() > 0


def test_momenta_return_after_an_error():
    norm = nn.BatchNorm1d(2, momentum=0.3)
    with pytest.raises(ZeroDivisionError), kept_statistics([norm]):
        raise ZeroDivisionError
    assert norm.momentum == 0.3
