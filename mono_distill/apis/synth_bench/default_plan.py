"""The plan whose result is committed."""

from __future__ import annotations

from dataclasses import replace

from mono_distill.apis.synth_bench.plan import FEATURE_ARMS, Plan, Setting, World

_MAIN = Setting(
    title='600 labelled frames',
    arms=('control', 'monoskd', 'monoskd_rank', 'dense_gt'),
    seeds=5,
    teacher_epochs=16,
    base_epochs=12,
    arm_epochs=56,
)
_FEW_ARMS = ('control', 'monoskd', 'monoskd_unlabelled', 'pseudo_labels', 'monoskd_pseudo', 'dense_gt')
_SIDE = replace(_MAIN, arms=('control', 'monoskd'), seeds=2, arm_epochs=28)


def default_plan(seeds: int = 5) -> Plan:
    """Return the benchmark's plan: 600 training frames, 200 for validation, 1000 for the test.

    Args:
        seeds: Paired seeds of the main setting; other conditions have at most as many.
    """
    half = replace(
        _SIDE,
        title='600 labelled frames, half as long',
        start='main',
        arms=_MAIN.arms,
        side_arms=('response', 'features', 'monoskd_backbone', 'monodistill', 'monostl'),
        side_seeds=3,
        seeds=5,
    )
    settings = {
        'main': _MAIN,
        'half': half,
        'long': replace(_SIDE, title='600 labelled frames, twice as long', start='main', arm_epochs=112),
        'few': replace(
            _SIDE,
            title='120 labelled, 480 unlabelled frames',
            arms=_FEW_ARMS,
            seeds=3,
            labelled=120,
            arm_epochs=12,
        ),
        'short': replace(
            _SIDE,
            title='600 labelled frames, stopped early',
            start='main',
            seeds=3,
            # What a teacher that knows nothing does to a student, by plain L2 and by DASFD.
            side_arms=tuple(FEATURE_ARMS),
            side_seeds=3,
            arm_epochs=10,
        ),
        'small': replace(_SIDE, title='600 labelled frames, half the width, half as long', base_channels=8),
        'hard': replace(
            _SIDE, title='600 labelled frames of a harder world (500 test frames), half as long', world='hard'
        ),
    }
    capped = {
        name: replace(setting, seeds=min(setting.seeds, seeds), side_seeds=min(setting.side_seeds, seeds))
        for name, setting in settings.items()
    }
    return Plan({'main': World(), 'hard': World(difficulty=0.9, seed=11, test_seed=12, test_frames=500)}, capped)
