"""MonoDistill and MonoSTL on detectors whose uncertainty is no map: DID-M3D's bins and MonoDETR's queries."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from tiny_kitti import random_teachers, short, write_prepared_kitti

from mono_distill.apis.launch import load_config
from mono_distill.losses import selective_feature_loss, selective_relation_loss

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
LOSSES = dict(
    monostl_didm3d=('feature', 'relation', 'response'),
    monodistill_didm3d=('feature', 'affinity', 'response'),
    monostl_monodetr=('feature', 'relation'),
)
MONOSTL = [pair for pair in LOSSES if pair.startswith('monostl')]


@pytest.fixture(scope='module')
def kitti(tmp_path_factory):
    return write_prepared_kitti(tmp_path_factory.mktemp('kitti'))


def built(pair, kitti):
    """Distiller of the small config and a batch of both frames, of one object each."""
    config = short(load_config(str(CONFIGS / f'{pair}_tiny_kitti.py')), kitti)
    for teacher in config.model.teachers.values():
        teacher.config = str(CONFIGS / teacher.config.split('::')[1])
    init_default_scope('mmdet3d')
    torch.manual_seed(0)
    model = MODELS.build(random_teachers(config).model)
    model.init_weights()
    dataset = DATASETS.build(config.train_dataloader.dataset)
    return model.train(), model.data_preprocessor(pseudo_collate([dataset[0], dataset[1]]), True)


def teacher_of(model):
    return model.bank.teachers['depth'].model


def moves(loss, parameters):
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)


@pytest.mark.parametrize('pair', LOSSES)
def test_every_loss_moves_the_student_and_nothing_moves_the_teacher(pair, kitti):
    model, data = built(pair, kitti)
    teacher = teacher_of(model)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    losses = model(**data, mode='loss')
    assert {name.removeprefix('loss_kd_') for name in losses if name.startswith('loss_kd_')} == set(LOSSES[pair])
    for name in LOSSES[pair]:
        assert losses[f'kd_{name}'] > 0
        assert moves(losses[f'loss_kd_{name}'], list(model.student.parameters())), name
    model.parse_losses(losses)[0].backward()
    assert all(parameter.grad is not None for parameter in model.graph.parameters())
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())


def arguments(model, data, node):
    """What a node of the graph was given in one step."""
    seen = {}
    module = model.graph.get_submodule(node)
    handle = module.register_forward_hook(lambda _, args, kwargs, out: seen.update(kwargs, out=out), with_kwargs=True)
    model(**data, mode='loss')
    handle.remove()
    return seen


@pytest.mark.parametrize('pair', MONOSTL)
def test_features_ask_the_student_and_relations_the_teacher(pair, kitti):
    model, data = built(pair, kitti)
    with torch.no_grad():
        # Far apart, so that each loss shows whom it asked.
        for detector, log_scale in ((model.student, 1.5), (teacher_of(model), 0.25)):
            set_log_scale(detector.bbox_head, log_scale)
    for node, function, log_scale in (
        ('losses.feature', selective_feature_loss, 1.5),
        ('losses.relation', selective_relation_loss, 0.25),
    ):
        given = arguments(model, data, node)
        valid = given['targets']['mask_2d']
        assert valid.sum() == 2
        expected = torch.where(valid, log_scale, 0.0)
        torch.testing.assert_close(given['log_scale'], expected, rtol=0, atol=1e-5)
        options = model.graph.get_submodule(node).options
        direct = function(given['student'], given['teacher'], expected, given['targets'], **options)
        torch.testing.assert_close(given['out'], direct)


def set_log_scale(head, value):
    """Let a head say one uncertainty everywhere."""
    if hasattr(head, 'depth_branches'):
        layers = [branch.layers[-1] for branch in head.depth_branches]
        for layer in layers:
            layer.weight[1] = 0
            layer.bias[1] = value
        return
    # The variance of the instance depth is the logsumexp of two.
    for name in ('vis_depth_uncer', 'att_depth_uncer'):
        last = [module for module in getattr(head, name).modules() if isinstance(module, torch.nn.Conv2d)][-1]
        last.weight.zero_()
        last.bias.fill_(2 * value - torch.tensor(2.0).log())


def test_queries_are_matched_once_a_step_and_side(kitti):
    model, data = built('monostl_monodetr', kitti)
    heads = dict(student=model.student.bbox_head, teacher=teacher_of(model).bbox_head)
    calls, groups = Counter(), {}
    for name, head in heads.items():

        def count(_, args, out, name=name):
            calls[name] += 1
            groups[name] = out['queries'].shape[2]

        head.assigner.register_forward_hook(count)
    model(**data, mode='loss')
    assert calls == dict(student=1, teacher=1)
    assert groups == dict(student=2, teacher=1)


@pytest.mark.parametrize('pair', LOSSES)
def test_without_objects_the_losses_on_objects_are_zero_and_connected(pair, kitti):
    model, data = built(pair, kitti)
    for sample in [*data['data_samples'], *data['teacher_inputs']['depth']['data_samples']]:
        sample.gt_instances_3d = sample.gt_instances_3d[:0]
    losses = model(**data, mode='loss')
    on_objects = [name for name in LOSSES[pair] if name != 'affinity']
    assert {name: losses[f'loss_kd_{name}'].item() for name in on_objects} == dict.fromkeys(on_objects, 0.0)
    total = model.parse_losses(losses)[0]
    total.backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.student.parameters())
    assert all(parameter.grad is not None for parameter in model.graph.parameters())
