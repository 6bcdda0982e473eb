"""Tests of mono_distill.losses.heading_distance."""

import torch
from torch.distributions import Categorical, kl_divergence

from mono_distill.losses.heading_distance import heading_distances


def test_distance_is_the_divergence_of_the_bins_and_the_difference_of_the_annotated_residual():
    student, teacher, heading_bin = torch.randn(4, 5, 24), torch.randn(4, 5, 24), torch.randint(12, (4, 5))
    distances = heading_distances(student, teacher, heading_bin)
    for place in [(0, 0), (3, 4)]:
        s, t = student[place], teacher[place]
        residual = 12 + heading_bin[place]
        expected = kl_divergence(Categorical(logits=t[:12]), Categorical(logits=s[:12])) / 12
        torch.testing.assert_close(distances[place], expected + (s[residual] - t[residual]).abs())


def test_offset_of_all_logits_does_not_matter():
    student, teacher, heading_bin = torch.randn(3, 24), torch.randn(3, 24), torch.randint(12, (3,))
    shifted = torch.cat([student[:, :12] + 7, student[:, 12:]], 1)
    torch.testing.assert_close(
        heading_distances(shifted, teacher, heading_bin), heading_distances(student, teacher, heading_bin)
    )
