import copy

import pytest
import torch
from torch import nn

from mono_distill.distillers.taps import TapSet, describe, parse_tap
from mono_distill.utils.errors import ConfigError


class Pyramid(nn.Module):
    def __init__(self, calls=1):
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.head = nn.Identity()
        self.calls = calls

    def forward(self, x):
        for _ in range(self.calls):
            x = self.stem(x[:, :1])
        return self.head({'heatmap': x, 'levels': (x, x * 2)})


def record(model, **taps):
    tap_set = TapSet('student', model, {name: parse_tap(name, tap) for name, tap in taps.items()})
    tap_set.start()
    model(torch.ones(1, 1, 2, 2))
    tap_set.stop()
    return tap_set.collect()


def test_a_tap_records_the_output_of_a_module():
    model = Pyramid()
    assert torch.equal(record(model, f='student:stem')['f'], model.stem(torch.ones(1, 1, 2, 2)))


def test_selectors_pick_keys_items_and_slices():
    values = record(
        Pyramid(), h='student:head[heatmap]', last='student:head[levels][-1]', rest='student:head[levels][1:]'
    )
    assert torch.equal(values['last'], values['h'] * 2)
    assert len(values['rest']) == 1


def test_a_tap_can_read_the_input_of_a_module():
    values = record(Pyramid(), x=dict(path='student:stem', io='input'))
    assert torch.equal(values['x'], torch.ones(1, 1, 2, 2))


def test_a_module_that_runs_twice_needs_a_call():
    with pytest.raises(ConfigError, match=r"ran 2 times; say which with call='last'"):
        record(Pyramid(calls=2), f='student:stem')
    both = record(Pyramid(calls=2), f=dict(path='student:stem', call='all'), l=dict(path='student:stem', call='last'))
    assert len(both['f']) == 2
    assert torch.equal(both['f'][1], both['l'])


def test_a_call_out_of_range_is_named():
    with pytest.raises(ConfigError, match=r'call=3, but the module ran 2 times'):
        record(Pyramid(calls=2), f=dict(path='student:stem', call=3))


def test_a_module_that_did_not_run_is_named():
    model = Pyramid(calls=0)
    model.head = nn.Identity()
    tap_set = TapSet('depth', model, {'f': parse_tap('f', 'depth:stem')})
    tap_set.start()
    with pytest.raises(ConfigError, match=r"tap 'f' \(depth:stem\): the module did not run"):
        tap_set.collect()


def test_a_misspelt_module_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"tap 'f': student has no module 'stm'; did you mean 'stem'\?"):
        TapSet('student', Pyramid(), {'f': parse_tap('f', 'student:stm')})


def test_a_selector_that_does_not_fit_shows_what_is_there():
    with pytest.raises(ConfigError, match=r'cannot take \[depth\] of what student:head gave \(\{heatmap: Tensor'):
        record(Pyramid(), f='student:head[depth]')


@pytest.mark.parametrize(
    ('tap', 'message'),
    [
        ('neck', "is not '<owner>:<module.path>"),
        ('student:neck[0', "is not '<owner>:<module.path>"),
        (dict(path='student:neck', io='grad'), "io must be 'output' or 'input'"),
        (dict(path='student:neck', call='first'), 'call must be an index'),
        (dict(paht='student:neck'), 'expected a string or dict with path, io, call'),
    ],
)
def test_a_malformed_tap_is_refused(tap, message):
    with pytest.raises(ConfigError, match=message):
        parse_tap('f', tap)


def test_nothing_is_kept_while_recording_is_off():
    model = Pyramid()
    tap_set = TapSet('student', model, {'f': parse_tap('f', 'student:stem')})
    model(torch.ones(1, 1, 2, 2))
    assert tap_set._recorders['f'].calls == []


def test_distill_outputs_serves_names_that_are_no_modules():
    class Contract(Pyramid):
        def distill_outputs(self):
            return {'depth': torch.ones(3)}

    assert torch.equal(record(Contract(), d='student:depth')['d'], torch.ones(3))
    with pytest.raises(ConfigError, match=r"did you mean 'depth'\?"):
        record(Contract(), d='student:deph')


def test_the_copy_of_a_model_records_for_itself():
    class Owner(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = Pyramid()
            self.taps = TapSet('student', self.model, {'f': parse_tap('f', 'student:stem')})

    owner = Owner()
    twin = copy.deepcopy(owner)
    twin.taps.start()
    twin.model(torch.ones(1, 1, 2, 2))
    assert len(twin.taps._recorders['f'].calls) == 1
    assert owner.taps._recorders['f'].calls == []


def test_taps_cause_no_graph_break():
    model = Pyramid()
    tap_set = TapSet('student', model, {'f': parse_tap('f', 'student:stem')})
    tap_set.start()
    compiled = torch.compile(model, fullgraph=True, backend='eager')
    compiled(torch.ones(1, 1, 2, 2))
    assert tap_set.collect()['f'].shape == (1, 2, 2, 2)


def test_describe_shows_nested_shapes():
    assert describe({'a': [torch.zeros(1, 2)], 'b': 3}) == '{a: [Tensor(1, 2)], b: int}'
