"""The plan whose result is committed."""

from __future__ import annotations

from dataclasses import replace

from mono_distill.apis.synth_bench.plan import Plan, Setting, World

_MAIN = Setting(
    title='600 labelled frames',
    arms=('control', 'monoskd', 'monoskd_rank', 'dense_gt'),
    side_arms=('response', 'features', 'dense_features', 'monoskd_backbone'),
    side_seeds=2,
    seeds=5,
    teacher_epochs=16,
    base_epochs=12,
    arm_epochs=10,
)
_SIDE = replace(_MAIN, arms=('control', 'monoskd'), side_arms=(), seeds=2)


def default_plan(seeds: int = 5) -> Plan:
    """Return the benchmark's plan: 600 training frames, 200 for validation, 1000 for the test.

    Args:
        seeds: Paired seeds of the main setting; other conditions have at most as many.
    """
    settings = {
        'main': replace(_MAIN, seeds=seeds),
        'few': replace(
            _MAIN,
            title='120 labelled, 480 unlabelled frames',
            arms=('control', 'monoskd', 'monoskd_unlabelled', 'pseudo_labels', 'monoskd_pseudo', 'dense_gt'),
            side_arms=(),
            seeds=4,
            labelled=120,
        ),
        'long': replace(_SIDE, title='600 labelled frames, twice the steps after parting', start='main', arm_epochs=20),
        'small': replace(_SIDE, title='600 labelled frames, half the width', base_channels=8),
        'hard': replace(_SIDE, title='600 labelled frames of a harder world', world='hard'),
    }
    capped = {
        name: replace(setting, seeds=min(setting.seeds, seeds), side_seeds=min(setting.side_seeds, seeds))
        for name, setting in settings.items()
    }
    return Plan({'main': World(), 'hard': World(difficulty=0.9, seed=11, test_seed=12)}, capped)
