"""docs/losses.md has an entry for every loss."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mono_distill import losses

PAGE = (Path(__file__).resolve().parent.parent / 'docs' / 'losses.md').read_text()
CLASSES = [name for name in losses.__all__ if name.endswith('Loss')]


def entry(name: str) -> str:
    """The text from a loss's heading to the next heading."""
    found = re.search(rf'^### `{name}`\n(.*?)(?=^#)', PAGE, flags=re.MULTILINE | re.DOTALL)
    return found[1] if found else ''


@pytest.mark.parametrize('name', [name for name in CLASSES if f'### `{name}`' in PAGE])
def test_an_entry_says_when_to_use_the_loss(name):
    assert '**Use:**' in entry(name)
    assert re.search(r'\*\*(Released|Printed|Open):\*\*|Not in the paper', entry(name))


def test_every_loss_is_on_the_page_and_every_entry_is_a_loss():
    assert [name for name in CLASSES if f'`{name}`' not in PAGE] == []
    assert [name for name in re.findall(r'^### `(\w+)`', PAGE, flags=re.MULTILINE) if name not in CLASSES] == []
