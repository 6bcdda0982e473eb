from __future__ import annotations

from dataclasses import replace

import pytest
from bench_worlds import tiny_plan

from mono_distill.apis.synth_bench.default_plan import default_plan
from mono_distill.apis.synth_bench.plan import ARMS, CONTROL, Plan, Run, World, controls_of
from mono_distill.utils.errors import ConfigError, DataError


def with_setting(plan, name, **changes):
    return Plan(plan.worlds, {**plan.settings, name: replace(plan.settings[name], **changes)})


def test_every_setting_of_the_default_plan_has_its_controls():
    for setting in default_plan().settings.values():
        arms = (*setting.arms, *setting.side_arms)
        assert CONTROL in setting.arms
        assert set(arms) <= set(ARMS)


def test_the_settings_about_a_teachers_knowledge_have_the_second_controls_too():
    for name in ('main', 'half', 'few'):
        setting = default_plan().settings[name]
        arms = (*setting.arms, *setting.side_arms)
        assert all(set(controls_of(arm)) <= set(arms) for arm in arms)


def test_uncertainty_is_judged_against_plain_l2_for_every_teacher():
    setting = default_plan().settings['short']
    forms = [weight + form for weight in ('', '_strong', '_heavy') for form in ('', '_direct')]
    plain = {f'l2{form}{teacher}' for form in forms for teacher in ('', '_random', '_shuffled')}
    assert {arm for arm in setting.side_arms if arm.startswith('l2')} == plain
    for arm in (arm for arm in setting.side_arms if arm.startswith('dasfd')):
        assert controls_of(arm) == (CONTROL, arm.replace('dasfd', 'l2'))


def test_the_main_setting_has_the_wanted_seeds_and_others_no_more():
    plan = default_plan(5)
    assert plan.settings['main'].seeds == 5
    assert max(setting.seeds for setting in plan.settings.values()) == 5
    assert max(setting.seeds for setting in default_plan(1).settings.values()) == 1


def test_a_run_comes_after_what_it_needs():
    plan = default_plan(2)
    runs = plan.runs()
    assert len(set(runs)) == len(runs)
    for place, run in enumerate(runs):
        assert all(runs.index(needed) < place for needed in plan.needs(run))


def test_a_chosen_arm_brings_what_it_needs_and_nothing_else():
    runs = tiny_plan().runs(arms=['monoskd'])
    assert [run.id for run in runs] == ['tiny/base/0', 'tiny/teacher/0', 'tiny/monoskd/0']


def test_the_control_needs_no_teacher():
    assert tiny_plan().needs(Run('tiny', 'control', 0)) == [Run('tiny', 'base', 0)]


@pytest.mark.parametrize(
    ('arm', 'teacher'),
    [('monostl', 'teacher'), ('l2_random', 'teacher_random'), ('dasfd_shuffled', 'teacher_shuffled')],
)
def test_an_arm_is_taught_by_the_teacher_in_its_name(arm, teacher):
    assert Run('tiny', teacher, 0) in tiny_plan().needs(Run('tiny', arm, 0))


def test_the_plan_survives_its_file(tmp_path):
    plan = default_plan()
    plan.save(tmp_path / 'plan.json')
    assert Plan.load(tmp_path / 'plan.json') == plan


def test_a_file_that_is_no_plan_is_an_error_with_a_cure(tmp_path):
    (tmp_path / 'plan.json').write_text('{}')
    with pytest.raises(DataError, match='mono-distill bench synth'):
        Plan.load(tmp_path / 'plan.json')


def test_a_fingerprint_changes_with_what_the_run_depends_on():
    plan, run = tiny_plan(), Run('tiny', 'monoskd', 0)
    before = plan.fingerprint(run)
    assert with_setting(plan, 'tiny', arm_lr=5e-4).fingerprint(run) != before
    assert Plan({'main': World(frames=17)}, plan.settings).fingerprint(run) != before
    # More seeds or arms leave the finished ones as they are.
    assert with_setting(plan, 'tiny', seeds=3, title='other', arms=('control',)).fingerprint(run) == before


def test_the_length_of_the_arms_leaves_teacher_and_base_student_as_they_are():
    plan = tiny_plan()
    longer = with_setting(plan, 'tiny', arm_epochs=99, arm_lr=1e-5, weights={'spearman': 2.0})
    for arm in ('teacher', 'base'):
        assert longer.fingerprint(Run('tiny', arm, 0)) == plan.fingerprint(Run('tiny', arm, 0))
    assert longer.fingerprint(Run('tiny', 'control', 0)) != plan.fingerprint(Run('tiny', 'control', 0))
    trained_longer = with_setting(plan, 'tiny', base_epochs=99)
    assert trained_longer.fingerprint(Run('tiny', 'base', 0)) != plan.fingerprint(Run('tiny', 'base', 0))


def test_a_teacher_of_another_seed_is_another_run_to_depend_on():
    plan = tiny_plan()
    assert plan.fingerprint(Run('tiny', 'control', 0)) != plan.fingerprint(Run('tiny', 'control', 1))


@pytest.mark.parametrize('text', ['main', 'main/control', 'main/control/x', 'a/b/c/1'])
def test_a_wrong_name_of_a_run_says_what_names_look_like(text):
    with pytest.raises(ConfigError, match='main/monoskd/0'):
        Run.parse(text)


def test_unknown_settings_and_arms_suggest_the_right_spelling():
    with pytest.raises(ConfigError, match="did you mean 'monoskd'"):
        tiny_plan().runs(arms=['monoskdd'])
    with pytest.raises(ConfigError, match="there is no 'tinny'"):
        tiny_plan().runs(['tinny'])
    with pytest.raises(ConfigError, match="setting tiny: world: there is no 'mars'"):
        with_setting(tiny_plan(), 'tiny', world='mars')
