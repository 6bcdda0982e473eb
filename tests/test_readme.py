"""What README shows is run."""

import re
from pathlib import Path

import pytest

from mono_distill.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / 'README.md').read_text()


def test_the_example_of_an_own_detector_builds(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'example.py').write_text(re.search(r'```python\n(.*?)```', README, re.DOTALL).group(1))
    if main(['train', 'example.py', '--dry-run']) != 0:
        pytest.fail(capsys.readouterr().err)
    assert 'CrossModalDistiller' in capsys.readouterr().out


@pytest.mark.parametrize(
    'page', [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))], ids=lambda page: page.name
)
def test_links_to_files_lead_somewhere(page):
    targets = re.findall(r'\]\(([^)#:]+)\)', page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    'page', [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))], ids=lambda page: page.name
)
def test_configs_that_are_named_exist(page):
    named = set(re.findall(r'configs/[\w/]+\.py', page.read_text()))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_table_is_the_measured_one():
    assert (ROOT / 'benchmarks' / 'results' / 'real_frames.md').read_text().strip() in README
