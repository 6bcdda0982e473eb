"""Every config is short, has a name of its own, builds, and trains."""

import collections

import pytest
import torch
from leaf_runs import CONFIGS, ENVIRONMENT, gradients_of_one_step, is_nuscenes, small
from mmengine.config import Config
from tiny_kitti import train, write_prepared_kitti

from mono_distill.apis.check_config import check_config

LEAVES = sorted(path for path in CONFIGS.rglob('*.py') if '_base_' not in path.parts)
# These need compiled ops: tests/test_monotakd_configs.py and tests/test_centerpoint_configs.py look at them.
COMPILED = {'teachers/second_bev_kitti.py', 'teachers/centerpoint_voxel01_nus.py'}
# A detector on a map seen from above takes long at its published size. Its small config trains; of the published ones
# bevdet_r50_nus.py does, whose data set, schedule and averaged weights are those of the others, and the others take one
# step: what is left to find out is whether the sizes of student, teacher and adapters fit together.
STEPPED = [
    path
    for path in LEAVES
    if 'tiny' not in path.stem
    and (path.stem.endswith('_nus') or path.stem.startswith(('caddn', 'monotakd', 'cmkd', 'pointpillars')))
    and path.name != 'bevdet_r50_nus.py'
    and str(path.relative_to(CONFIGS)) not in COMPILED
]
TRAINED = [path for path in LEAVES if path not in STEPPED and str(path.relative_to(CONFIGS)) not in COMPILED]
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


@pytest.fixture
def small_config(request, monkeypatch):
    """Cut a config down and give it made-up data."""

    def make(path):
        root = request.getfixturevalue('tiny_nuscenes' if is_nuscenes(path) else 'kitti')
        for name, value in ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv('NUSCENES_ROOT', str(root))
        return small(path, root)

    return make


@pytest.mark.slow
@pytest.mark.parametrize('path', TRAINED, ids=name_of)
def test_a_config_trains_for_two_steps_and_evaluates(path, small_config, tmp_path):
    config = small_config(path)
    before = torch.load(save_initial(config, tmp_path), weights_only=True)
    after = train(config, tmp_path / 'run')
    changed = [key for key, value in before.items() if value.is_floating_point() and not torch.equal(value, after[key])]
    assert any('backbone' in key for key in changed)
    assert any('bbox_head' in key for key in changed)
    assert all(value.isfinite().all() for value in after.values() if value.is_floating_point())
    assert (tmp_path / 'run' / 'epoch_1.pth').is_file()


@pytest.mark.slow
@pytest.mark.parametrize('path', STEPPED, ids=name_of)
def test_a_config_of_published_size_takes_a_step(path, small_config):
    # A batch norm of one value cannot train: a student of KITTI has one picture a sample.
    losses, learning = gradients_of_one_step(small_config(path), 1 if is_nuscenes(path) else 2)
    assert all(value.isfinite().all() for value in losses.values())
    assert any('backbone' in name for name in learning)
    assert any('bbox_head' in name for name in learning)


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
