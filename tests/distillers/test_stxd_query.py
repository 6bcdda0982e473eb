"""STXD on BEVFormer, as its small config puts it together, on the embedded nuScenes world."""

from itertools import accumulate
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope

from mono_distill.losses.cross_correlation import cross_correlation_loss
from mono_distill.losses.temporal_similarity import temporal_similarity_loss
from mono_distill.ops.point_sampler import sample_bev
from mono_distill.registry import DATASETS, MODELS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
RANGES = dict(x_range=(-51.2, 51.2), y_range=(-51.2, 51.2))


@pytest.fixture(scope='module')
def step(tiny_nuscenes):
    """The distiller, its losses on a batch of two, and the batch."""
    init_default_scope('mmdet3d')
    config = Config.fromfile(CONFIGS / 'stxd_bevformer_tiny_nus.py')
    lidar = config.model.teachers.lidar
    lidar.config = str(CONFIGS / lidar.config.split('::')[1])
    lidar.update(checkpoint=None, allow_random=True)
    config.train_dataloader.dataset.data_root = str(tiny_nuscenes)
    torch.manual_seed(0)
    dataset = DATASETS.build(config.train_dataloader.dataset)
    model = MODELS.build(config.model)
    model.init_weights()
    model.train()
    model.set_progress(epoch=2.0, iteration=10)
    batch = pseudo_collate([dataset[0], dataset[1]])
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return model, losses, batch


def test_all_terms_teach(step):
    model, losses, _ = step
    for name in ('cd', 'td', 'rd'):
        assert losses[f'loss_kd_{name}'] > 0
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert model.graph.adapters['s_points'].linear.weight.grad.abs().sum() > 0
    assert model.student.img_backbone.conv1.weight.grad.abs().sum() > 0


def test_the_teacher_learns_nothing(step):
    teacher = step[0].bank.teachers['lidar'].model
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_both_sides_are_compared_at_the_queries(step):
    model, losses, _ = step
    ours, theirs = model.student.distill_outputs(), model.bank.teachers['lidar'].model.distill_outputs()
    points = ours['queries'][-1]['points']
    student = model.graph.adapters['s_points'].linear(sample_bev(ours['bev'], points, **RANGES))
    teacher = sample_bev(theirs['bev'], points, **RANGES)
    assert student.shape == teacher.shape == (2, 100, 144)
    torch.testing.assert_close(losses['kd_cd'], cross_correlation_loss(student, teacher).detach())
    past = torch.stack([sample_bev(frame, points, **RANGES) for frame in theirs['past_bev'].unbind(1)], dim=1)
    expected = temporal_similarity_loss(student, teacher, past, past_valid=theirs['past_exists'])
    torch.testing.assert_close(losses['kd_td'], expected.detach())


def test_the_past_teaches_only_where_there_is_one(step):
    """The first key-frame of a scene has none."""
    exists = step[0].bank.teachers['lidar'].model.distill_outputs()['past_exists']
    assert exists.tolist() == [[bool(value)] for value in step[2]['inputs']['past_exists']]
    assert exists.any()


def test_detections_are_in_the_frame_and_the_classes_of_the_student(step):
    """A teacher whose heatmap peaks at an object gives its class and its place back, after all augmentation."""
    model, _, batch = step
    targets = model.graph.targets
    objects = targets['objects'](batch['data_samples'])
    heads = [
        {name: torch.full_like(value, -9.0 if name == 'heatmap' else 0.0) for name, value in task.items()}
        for task in model.bank.teachers['lidar'].model.distill_outputs()['heads']
    ]
    starts = list(accumulate((task['heatmap'].shape[1] for task in heads), initial=0))[:-1]
    codes, labels = objects['codes'][0, 0], int(objects['labels'][0, 0])
    task = max(index for index, start in enumerate(starts) if start <= labels)
    cell = ((codes[:2] + 51.2) / 1.6).floor().long()
    heads[task]['heatmap'][0, labels - starts[task], cell[1], cell[0]] = 4.0
    values = dict(reg=(codes[:2] + 51.2) / 1.6 - cell, height=codes[4:5], rot=codes[6:8], vel=codes[8:10])
    values['dim'] = torch.cat([codes[2:4], codes[5:6]])
    for name, value in values.items():
        heads[task][name][0, :, cell[1], cell[0]] = value
    found = targets['detections'](heads)
    torch.testing.assert_close(found['boxes'][0, 0], codes, rtol=1e-4, atol=1e-4)
    assert int(found['labels'][0, 0]) == labels
    quality = targets['quality'](found, objects)
    assert float(quality[0, 0]) == pytest.approx(float(found['scores'][0, 0]) ** 0.5, rel=1e-3)
