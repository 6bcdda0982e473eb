"""The report: its content, and how a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from demo_files import SCORES, write_tested_demo

from mono_distill.apis.demo.models import MODELS
from mono_distill.apis.demo.options import DemoOptions
from mono_distill.apis.demo.report import TITLE, clock, write_report
from mono_distill.apis.demo.results import read_rows, text_table
from mono_distill.utils.errors import DataError

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'headless_shell')
# What the page looks like from inside: written into the document, which --dump-dom prints.
PROBE = """
<pre id="probe"></pre>
<script>
addEventListener('load', () => {
  const images = [...document.images];
  document.getElementById('probe').textContent = JSON.stringify({
    title: document.title,
    images: images.length,
    broken: images.filter(image => !(image.complete && image.naturalWidth > 0)).length,
    rows: document.querySelector('table').tBodies[0].rows.length,
    wide: document.documentElement.scrollWidth - innerWidth,
    fetched: performance.getEntriesByType('resource').map(entry => entry.name).filter(url => !url.startsWith('data:')),
  });
});
</script>
"""


class Outline(HTMLParser):
    """Collects headings, cells, alternative texts and everything a browser might fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.alts: list[str | None] = []
        self.fetched: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, values))
        if tag == 'img':
            self.alts.append(values.get('alt'))
        self.fetched += [
            value
            for name, value in values.items()
            if name in ('src', 'href', 'srcset', 'data', 'action', 'poster') and not value.startswith(('data:', '#'))
        ]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = write_tested_demo(tmp_path_factory.mktemp('demo'))
    write_report(DemoOptions(folder.out, seed=7), folder)
    return folder


@pytest.fixture(scope='module')
def text(folder):
    return folder.report.read_text()


def test_it_fetches_nothing(text):
    assert Outline(text).fetched == []
    assert "default-src 'none'" in text
    assert '<script' not in text
    assert 'url(' not in text


def test_all_sections_are_there_in_order(text):
    assert re.findall(r'<h2[^>]*>([^<]+)</h2>', text) == [
        'What this is', 'Results', 'Loss curves', 'Frames side by side', 'How it was made', 'What it does not show',
    ]  # fmt: skip


def test_the_table_holds_the_measured_scores(text):
    table = re.search(r'<tbody>(.*?)</tbody>', text, re.DOTALL).group(1)
    rows = re.findall(r'<tr><th scope="row">([^<]+).*?</th>(.*?)</tr>', table)
    assert [name for name, _ in rows] == [model.title for model in MODELS]
    for model, (_, cells) in zip(MODELS, rows, strict=True):
        expected = [f'{SCORES[model.name] + column:.1f}' for column in range(4)]
        assert re.findall(r'<td>([^<]+)</td>', cells) == expected


def test_the_gain_is_that_over_the_control_and_nothing_is_promised(text):
    assert 'without a teacher: -0.8 points' in text
    assert 'ahead by 21.8 points' in text
    assert 'Whether distillation helps.' in text


def test_every_picture_says_what_it_shows(text):
    alts = Outline(text).alts
    assert len(alts) == 5 + 1 + 5
    assert all(alts)
    assert 'frame 000000, camera. Teacher: 1 annotated cars, 1 cars found' in alts


def test_tables_have_captions_and_scopes(text):
    tags = [tag for tag, _ in Outline(text).tags]
    assert tags.count('table') == tags.count('caption')
    assert all(values.get('scope') in ('col', 'row') for tag, values in Outline(text).tags if tag == 'th')


def test_it_says_how_it_was_made(text):
    assert 'mono-distill train &lt;teacher&gt; &amp; more' in text
    assert '1:23' in text
    assert 'Seed 7' in text
    assert 'torch' in text


def test_the_numbers_are_written_too(folder):
    content = json.loads(folder.results.read_text())
    assert content['facts']['val_frames'] == 1
    assert content['scores']['teacher']['KITTI/Car_3D_AP40_moderate_loose'] == SCORES['teacher']


def test_the_table_of_the_terminal_has_a_line_a_detector(folder):
    head, *lines = text_table(read_rows(folder)).splitlines()
    assert '3D, IoU 0.5' in head
    assert len(lines) == len(MODELS)
    assert '30.25' in lines[0]
    assert len({len(line) for line in [head, *lines]}) == 1


def test_a_test_without_scores_is_named(folder, tmp_path):
    from mono_distill.apis.demo.results import read_scores

    with pytest.raises(DataError, match='holds no scores'):
        read_scores(tmp_path)


def test_a_duration_is_minutes_and_seconds():
    assert [clock(0), clock(59.9), clock(600)] == ['0:00', '0:59', '10:00']


@pytest.mark.slow
@pytest.mark.parametrize('width', [1280, 500])
def test_a_browser_shows_it(text, tmp_path, width):
    browser = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if browser is None:
        pytest.skip(f'none of these browsers is installed: {", ".join(BROWSERS)}')
    # The policy of the page forbids scripts; only that is lifted, so that the probe can run.
    probed = text.replace("style-src 'unsafe-inline'", "style-src 'unsafe-inline'; script-src 'unsafe-inline'")
    assert probed != text
    (tmp_path / 'report.html').write_text(probed.replace('</body>', f'{PROBE}</body>'))
    options = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking']
    options += ['--disable-component-update', '--disable-sync', f'--user-data-dir={tmp_path / "profile"}']
    options += [f'--window-size={width},900', '--virtual-time-budget=10000', '--dump-dom']
    done = subprocess.run(
        [browser, *options, (tmp_path / 'report.html').as_uri()], capture_output=True, text=True, timeout=120
    )
    probe = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout)
    assert probe is not None, f'{browser} ended with {done.returncode}: {done.stderr[-2000:]}'
    seen = json.loads(probe.group(1))
    assert seen['title'] == TITLE
    assert (seen['images'], seen['broken']) == (11, 0)
    assert seen['rows'] == len(MODELS)
    assert seen['fetched'] == []
    assert seen['wide'] <= 0
