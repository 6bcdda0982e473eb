"""Every config is short, has a name of its own, builds, and trains."""

import collections
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_kitti import random_teachers, short, train, write_prepared_kitti

from mono_distill.apis.check_config import check_config
from mono_distill.apis.launch import load_config

CONFIGS = Path(__file__).resolve().parent.parent / 'configs'
LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
MAX_LINES = 60


@pytest.fixture(scope='module')
def kitti(tmp_path_factory):
    return write_prepared_kitti(tmp_path_factory.mktemp('kitti'))


def name_of(path):
    return str(path.relative_to(CONFIGS))


def test_there_are_configs():
    assert CONFIGS / 'monoskd_kitti.py' in LEAVES


@pytest.mark.parametrize('path', LEAVES, ids=name_of)
def test_a_leaf_is_short(path):
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_no_two_configs_share_a_name():
    names = collections.Counter(path.name for path in CONFIGS.rglob('*.py'))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize('path', LEAVES, ids=name_of)
def test_a_config_has_only_options_that_exist(path):
    assert check_config(Config.fromfile(path)) > 10


@pytest.mark.parametrize('path', LEAVES, ids=name_of)
def test_a_config_survives_being_dumped(path):
    config = Config.fromfile(path)
    assert Config.fromstring(config.pretty_text, '.py').model == config.model


@pytest.mark.slow
@pytest.mark.parametrize('path', LEAVES, ids=name_of)
def test_a_config_trains_for_two_steps_and_evaluates(path, kitti, tmp_path, monkeypatch):
    monkeypatch.setenv('DLA34_WEIGHTS', 'none')
    config = short(load_config(str(path)), kitti)
    if 'teachers' in config.model:
        for teacher in config.model.teachers.values():
            teacher.config = str(CONFIGS / teacher.config.split('::')[1])
        random_teachers(config)
    before = torch.load(save_initial(config, tmp_path), weights_only=True)
    after = train(config, tmp_path / 'run')
    changed = [key for key, value in before.items() if value.is_floating_point() and not torch.equal(value, after[key])]
    assert any('backbone' in key for key in changed)
    assert any('bbox_head' in key for key in changed)
    assert all(value.isfinite().all() for value in after.values() if value.is_floating_point())
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


def save_initial(config, folder):
    """Save what the model starts from, built with the seed of the run."""
    from mmengine.registry import MODELS, init_default_scope
    from mmengine.runner import set_random_seed

    init_default_scope('mmdet3d')
    set_random_seed(config.randomness.seed)
    model = MODELS.build(config.model)
    model.init_weights()
    torch.save(model.state_dict(), folder / 'initial.pth')
    return folder / 'initial.pth'


@pytest.mark.parametrize(
    ('name', 'peak', 'drops', 'epochs'),
    [
        ('students/monodle_kitti.py', 1.25e-3, (95, 125), 140),
        ('students/didm3d_kitti.py', 1e-3, (95, 125), 150),
        ('monoskd_kitti.py', 1e-3, (95, 125), 150),
        ('monoskd_monodle_kitti.py', 1e-3, (95, 125), 150),
        ('monodistill_monodle_kitti.py', 1.25e-3, (95, 125), 160),
        ('monostl_monodle_kitti.py', 1.25e-3, (125, 165), 200),
        ('monodistill_didm3d_kitti.py', 1e-3, (95, 125), 150),
        ('monostl_didm3d_kitti.py', 1e-3, (95, 125), 150),
    ],
)
def test_the_learning_rate_follows_the_published_schedule(name, peak, drops, epochs):
    config = Config.fromfile(CONFIGS / name)
    rates = learning_rates(config, epochs)
    # Warm-up by a cosine from 1e-5 in five epochs; a tenth at each drop (the official step scheduler only starts to
    # count when the warm-up is over).
    warmup = [1e-5 + (peak - 1e-5) * part for part in (0, 0.0954915, 0.3454915, 0.6545085, 0.9045085)]
    assert config.train_cfg.max_epochs == epochs
    assert rates[:5] == pytest.approx(warmup, rel=1e-6)
    assert rates[5 : drops[0]] == pytest.approx([peak] * (drops[0] - 5))
    assert rates[drops[0] : drops[1]] == pytest.approx([peak / 10] * (drops[1] - drops[0]))
    assert rates[drops[1] :] == pytest.approx([peak / 100] * (epochs - drops[1]))


def test_the_learning_rate_of_monodetr_drops_twice_and_needs_no_warm_up():
    config = Config.fromfile(CONFIGS / 'students/monodetr_kitti.py')
    assert config.train_cfg.max_epochs == 195
    assert learning_rates(config, 195) == pytest.approx([2e-4] * 125 + [2e-5] * 40 + [2e-6] * 30)


def learning_rates(config, epochs):
    from mmengine.optim import OptimWrapper
    from mmengine.registry import PARAM_SCHEDULERS

    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([parameter], lr=config.optim_wrapper.optimizer.lr)
    wrapper = OptimWrapper(optimizer)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(scheduler), default_args=dict(optimizer=wrapper))
        for scheduler in config.param_scheduler
    ]
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def test_weight_decay_spares_every_bias():
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope('mmdet3d')
    config = Config.fromfile(CONFIGS / 'students/monodle_tiny_kitti.py')
    published = Config.fromfile(CONFIGS / 'students/monodle_kitti.py')
    model = MODELS.build(config.model)
    wrapper = build_optim_wrapper(model, published.optim_wrapper)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in wrapper.optimizer.param_groups:
        for parameter in group['params']:
            expected = 0.0 if 'bias' in names[id(parameter)] else 1e-5
            assert group['weight_decay'] == expected, names[id(parameter)]
