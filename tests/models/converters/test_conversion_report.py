import json

import pytest

from mono_distill.models.converters.conversion_report import ConversionReport, KeyFate
from mono_distill.utils.errors import CheckpointError

FINE = (
    KeyFate('mapped', 'depth.0.bias', 'bbox_head.depth.0.bias', '(256,)'),
    KeyFate('dropped', 'backbone.fc.bias', note='classifier'),
    KeyFate('filled', ours='backbone.bn1.num_batches_tracked', note='() initial value'),
)


def test_a_complete_report_passes():
    report = ConversionReport(FINE)
    assert report.complete
    report.require_complete('it')
    assert report.summary() == '1 key mapped, 1 filled in, 1 dropped'


def test_faults_are_counted_and_the_first_five_named():
    extra = tuple(KeyFate('unexpected', f'extra{i}') for i in range(7))
    shape = KeyFate('mismatched', 'depth.0.weight', 'bbox_head.depth.0.weight', '(1,), here (2,)')
    report = ConversionReport((*FINE, *extra, shape, KeyFate('missing', ours='neck.weight')))
    with pytest.raises(CheckpointError) as error:
        report.require_complete('x.pth')
    message = str(error.value)
    assert message.startswith('x.pth: 1 key missing: neck.weight; 7 keys not of this model: extra0, extra1, extra2, ')
    assert 'extra4 and 2 more; 1 key of another shape: depth.0.weight (1,), here (2,) (and 1 that fit)' in message
    assert 'Nothing was written' in message


def test_text_has_a_line_for_every_key():
    lines = ConversionReport(FINE, {'file': 'x.pth', 'part': 'student'}).to_text().splitlines()
    assert lines[:4] == ['file: x.pth', 'part: student', '1 key mapped, 1 filled in, 1 dropped', '']
    assert lines[4].split() == ['mapped', 'depth.0.bias', '->', 'bbox_head.depth.0.bias', '(256,)']
    assert lines[5].split() == ['dropped', 'backbone.fc.bias', '->', '-', 'classifier']
    assert lines[6].split() == ['filled', '->', 'backbone.bn1.num_batches_tracked', '()', 'initial', 'value']
    assert len(lines) == 7


def test_json_has_the_same():
    content = json.loads(ConversionReport(FINE, {'file': 'x.pth'}).to_json())
    assert content['header'] == {'file': 'x.pth'}
    assert content['counts'] == dict(mapped=1, filled=1, dropped=1, missing=0, unexpected=0, mismatched=0)
    assert content['keys'][0] == dict(
        outcome='mapped', official='depth.0.bias', ours='bbox_head.depth.0.bias', note='(256,)'
    )
