"""MonoSTL's config on recorded features and heads: every term of the distiller equals the official one."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn
from toy import ToyDetector, batch

from mono_distill.registry import MODELS

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
HEAD = dict(offset_2d=2, size_2d=2, depth=2, offset_3d=2, size_3d=3, heading=24)
# What the released code does with objects whose centre is the pixel (0, 0), and with empty slots of its lists.
RELEASED = dict(
    feature=dict(origin_weight=0.01, negative_indices='wrap'),
    relation=dict(),
    response=dict(heading_slots='all', include_origin_pixel=True),
)


class Recorded(nn.Module):
    """Gives what was recorded, whatever it is asked."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def forward(self, *inputs):
        return self.values


@MODELS.register_module(force=True)
class RecordedDetector(ToyDetector):
    """A detector whose backbone, head and targets are recordings."""

    def __init__(self, maps, head, targets=None, key='img'):
        super().__init__(data_preprocessor=dict(type='mono_distill.ToyPreprocessor', key=key))
        self.backbone, self.bbox_head = Recorded(maps), Recorded(head)
        self.bbox_head.target_encoder = Recorded(targets)

    def extract_feat(self, batch_inputs):
        return self.backbone(batch_inputs['imgs'])

    def forward(self, inputs, data_samples=None, mode='tensor'):
        outs = self.bbox_head(self.extract_feat(inputs))
        self.bbox_head.target_encoder()
        return dict(loss_depth=outs['depth'].square().mean() * 0)


def features(data, side):
    """Backbone of strides 4 to 32, of which the finest is not looked at."""
    return [torch.zeros(2, 4, 24, 40).double(), *(torch.from_numpy(data[f'{side}3_{i}']).double() for i in range(3))]


def head_of_features(data, side):
    """A head that says nothing but how uncertain its depths are."""
    outs = {name: torch.zeros(2, channels, 24, 40).double() for name, channels in HEAD.items()}
    outs['depth'][:, 1:] = torch.from_numpy(data[f'{side}_logvar'])
    return outs


def targets_of(data, mask):
    boxes = torch.from_numpy(data['boxes'])
    bins = torch.from_numpy(data['heading_bin']).squeeze(-1) if 'heading_bin' in data else torch.zeros(2, 50).long()
    indices = torch.from_numpy(data['indices_all' if 'indices_all' in data else 'indices'])
    masks = dict(boxes=boxes.any(-1), centres=indices != 0)
    return dict(bboxes=boxes, mask_2d=masks[mask], indices=indices, heading_bin=bins)


def distilled(term, student, teacher, targets):
    """Losses of the config with one of its terms, on recordings of backbone and head of both sides."""
    distill = Config.fromfile(CONFIGS / '_base_/distill/monostl.py').distill
    taps = {name: path for name, path in distill.taps.items() if name != 's'}
    model = MODELS.build(
        dict(
            type='mono_distill.CrossModalDistiller',
            student=dict(type='mono_distill.RecordedDetector', maps=student[0], head=student[1], targets=targets),
            teachers=dict(
                depth=dict(
                    detector=dict(
                        type='mono_distill.RecordedDetector', maps=teacher[0], head=teacher[1], key='depth_map'
                    ),
                    allow_random=True,
                )
            ),
            # The recorded features are those behind the adapter.
            taps=dict(taps, s_adapted=distill.taps.s),
            losses={term: dict(distill.losses[term], **RELEASED[term])},
        )
    ).double()
    return model(**model.data_preprocessor(batch(), True), mode='loss')


@pytest.mark.parametrize(
    ('term', 'key', 'mask', 'weight'),
    [('feature', 'dasfd_clean_student_weight', 'boxes', 10), ('relation', 'dasrd_clean', 'centres', 1)],
)
def test_terms_of_features_equal_the_official_ones(golden, term, key, mask, weight):
    data = golden('monostl_feature_relation')
    maps = [x.requires_grad_() for x in features(data, 'student')]
    head, expected = head_of_features(data, 'student'), data[f'{key}_loss_f64'].item()
    losses = distilled(
        term,
        (maps, head),
        (features(data, 'teacher'), head_of_features(data, 'teacher')),
        targets_of(data, mask),
    )
    # The official code keeps confidences and the number of pixels in float32.
    assert losses[f'kd_{term}'].item() == pytest.approx(expected, rel=1e-6)
    assert losses[f'loss_kd_{term}'].item() == pytest.approx(weight * expected, rel=1e-6)
    finest, *gradients = torch.autograd.grad(losses[f'loss_kd_{term}'], maps, allow_unused=True)
    assert finest is None
    for i, gradient in enumerate(gradients):
        official = weight * torch.from_numpy(data[f'{key}_grad{i}_f64']).double()
        torch.testing.assert_close(gradient, official, rtol=1e-6, atol=1e-6 * official.abs().max().item())


def test_the_response_of_the_heads_equals_the_official_one(golden):
    data = golden('monodistill_head_dense')
    student, teacher = (
        {name: torch.from_numpy(data[f'{side}_{name}']).double() for name in HEAD} for side in ('student', 'teacher')
    )
    maps = [torch.zeros(2, 4, 24, 40).double()] * 4
    outs = [x.requires_grad_() for x in student.values()]
    losses = distilled('response', (maps, student), (maps, teacher), targets_of(data, 'boxes'))
    assert losses['loss_kd_response'].item() == pytest.approx(data['total_f64'].item(), rel=3e-7)
    for name, gradient in zip(HEAD, torch.autograd.grad(losses['loss_kd_response'], outs), strict=True):
        official = torch.from_numpy(data[f'grad_{name}_f64']).double()
        torch.testing.assert_close(gradient, official, rtol=1e-6, atol=1e-6 * official.abs().max().item())
