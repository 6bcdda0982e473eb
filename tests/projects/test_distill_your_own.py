"""mmdet3d's own detectors are distilled by taps alone: every config of the project builds and trains."""

import contextlib

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, MODELS, init_default_scope
from stock_detectors import PROJECT, shortened
from tiny_kitti import train, write_prepared_kitti

from mono_distill.apis.check_config import check_config

LEAVES = sorted(PROJECT.glob('*.py'))
TINY = [path.name for path in LEAVES if '_tiny_' in path.name]
FULL = [path.name for path in LEAVES if '_tiny_' not in path.name]
LOSSES = {'monoskd': {'spearman', 'affinity', 'response'}, 'monostl': {'dasfd', 'dasrd'}}
MAX_LINES = 60


@pytest.fixture(scope='module')
def kitti(tmp_path_factory):
    return write_prepared_kitti(tmp_path_factory.mktemp('kitti'))


def method_of(name):
    return next((method for method in LOSSES if method in name), None)


@pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.name)
def test_a_config_is_short_and_says_only_what_exists(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES
    config = Config.fromfile(path)
    assert check_config(config) >= 1
    assert Config.fromstring(config.pretty_text, '.py').model == config.model


def test_there_is_no_detector_class_of_our_own():
    for path in LEAVES:
        model = Config.fromfile(path).model
        parts = [model] if 'backbone' in model else [model.student]
        for part in parts:
            types = [part.type, part.backbone.type, part.neck.type, part.bbox_head.type]
            assert not [kind for kind in types if kind.startswith('mono_distill.')], path.name


def built(name, kitti, folder):
    """Model and a batch of both frames."""
    config = shortened(PROJECT / name, kitti, folder)
    init_default_scope('mmdet3d')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    with contextlib.suppress(FileNotFoundError):
        model.init_weights()
    dataset = DATASETS.build(config.train_dataloader.dataset)
    return config, model.train(), pseudo_collate([dataset[0], dataset[1]])


@pytest.mark.parametrize('name', [*TINY, *(pytest.param(name, marks=pytest.mark.slow) for name in FULL)])
def test_two_steps(name, kitti, tmp_path):
    config, model, batch = built(name, kitti, tmp_path)
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    for _ in range(2):
        losses = model(**model.data_preprocessor(batch, True), mode='loss')
        total, log = model.parse_losses(losses)
        assert total.isfinite()
        optimizer.zero_grad()
        optimizer.backward(total)
        optimizer.step()
    method = method_of(name)
    if method:
        assert {key.removeprefix('loss_kd_') for key in log if key.startswith('loss_kd_')} == LOSSES[method]
        assert all(log[f'kd_{loss}'] > 0 for loss in LOSSES[method])
        assert all(parameter.grad is not None for parameter in model.graph.parameters())


@pytest.mark.parametrize('name', [name for name in TINY if method_of(name)])
def test_every_distillation_loss_moves_the_student(name, kitti, tmp_path):
    _, model, batch = built(name, kitti, tmp_path)
    data = model.data_preprocessor(batch, True)
    losses = model(**data, mode='loss')
    for loss in LOSSES[method_of(name)]:
        gradients = torch.autograd.grad(
            losses[f'loss_kd_{loss}'], list(model.student.parameters()), retain_graph=True, allow_unused=True
        )
        assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients), loss


def test_the_teacher_looks_at_depth_and_the_student_at_the_picture(kitti, tmp_path):
    _, model, batch = built('smoke_monoskd_tiny_kitti.py', kitti, tmp_path)
    data = model.data_preprocessor(batch, True)
    depth = data['teacher_inputs']['depth']['inputs']['imgs']
    assert depth.shape == data['inputs']['imgs'].shape == (2, 3, 96, 320)
    # The frames show a wall 12 and 13 metres away, which is 0.29 and 0.38 after normalisation.
    assert depth[0].median().item() == pytest.approx((12 - 8.765) / 11.275, abs=0.01)
    assert depth[1].median().item() == pytest.approx((13 - 8.765) / 11.275, abs=0.01)
    assert data['inputs']['imgs'].std() > 0.5


@pytest.mark.slow
@pytest.mark.parametrize('detector', ['smoke', 'fcos3d'])
def test_from_teacher_to_student(detector, kitti, tmp_path):
    """Teacher and student are trained, the one is distilled into the other, and its file fits the plain student."""
    for name in (f'{detector}_depth_tiny_kitti', f'{detector}_tiny_kitti'):
        train(shortened(PROJECT / f'{name}.py', kitti, tmp_path), tmp_path / name)
    config = shortened(PROJECT / f'{detector}_monoskd_tiny_kitti.py', kitti, tmp_path)
    config.model.teachers.depth.update(checkpoint=str(tmp_path / f'{detector}_depth_tiny_kitti'), allow_random=False)
    config.load_from = str(tmp_path / f'{detector}_tiny_kitti' / 'epoch_1.pth')
    train(config, tmp_path / 'kd')
    plain = MODELS.build(shortened(PROJECT / f'{detector}_tiny_kitti.py', kitti, tmp_path).model)
    state = torch.load(tmp_path / 'kd' / 'epoch_1.pth', weights_only=False)['state_dict']
    own = {key: value for key, value in state.items() if not key.startswith('distill.')}
    assert plain.load_state_dict(own, strict=True)
