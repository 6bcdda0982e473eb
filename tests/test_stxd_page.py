"""What docs/stxd.md says of the configs is what they hold."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = ROOT / 'configs'
PAGE = (ROOT / 'docs' / 'stxd.md').read_text()
METHODS = ('stxd', 'bevdistill', 'distillbev', 'unidistill')


@pytest.mark.parametrize('terms', ['stxd', 'stxd_query'])
def test_the_weights_are_those_of_the_configs(terms):
    losses = Config.fromfile(CONFIGS / '_base_' / 'distill' / f'{terms}.py').distill.losses
    (row,) = re.findall(r'^\| weights \|.*$', PAGE, flags=re.MULTILINE)
    for name in ('cd', 'td', 'rd'):
        assert f'{losses[name].weight} ({name.upper()})' in row


def test_every_config_and_its_small_twin_is_on_the_page():
    files = {path.stem for method in METHODS for path in CONFIGS.glob(f'{method}_*_nus.py')}
    large = {name for name in files if not name.endswith('_tiny_nus')}
    assert {name.replace('_nus', '_tiny_nus') for name in large} == files - large
    assert set(re.findall(r'^\| `configs/(\w+)\.py` \|', PAGE, flags=re.MULTILINE)) == large


def test_the_example_of_inputs_is_that_of_a_config():
    targets = Config.fromfile(CONFIGS / '_base_' / 'distill' / 'bevdistill.py').distill.targets
    assert dict(targets.mask.inputs) == {'boxes': 'objects[boxes]', 'valid': 'objects[mask]'}
    assert "inputs=dict(boxes='objects[boxes]', valid='objects[mask]')" in PAGE


@pytest.mark.parametrize('line', re.findall(r'^mim train mono_distill (\S+)', PAGE, flags=re.MULTILINE))
def test_what_a_distillation_needs_is_trained_before_it(line):
    config = Config.fromfile(ROOT / line)
    if 'teachers' in config.model:
        for work_dir in (config.load_from, config.model.teachers.lidar.checkpoint):
            assert re.search(rf'mim train mono_distill configs/\w+/{Path(work_dir).name}\.py.*{line}', PAGE, re.DOTALL)


def test_the_last_checkpoint_is_the_one_that_is_tested():
    found = re.findall(r'mim test mono_distill (\S+) -C work_dirs/(\w+)/epoch_(\d+)\.pth', PAGE)
    assert len(found) == 2
    for student, name, epoch in found:
        config = Config.fromfile(CONFIGS / f'{name}.py')
        assert (ROOT / student).is_file()
        assert config.train_cfg.max_epochs == int(epoch)
