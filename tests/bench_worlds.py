"""A plan small enough for a test, and its data."""

from __future__ import annotations

from pathlib import Path

from mono_distill.apis.synth_bench.configs import Folders
from mono_distill.apis.synth_bench.data import make_world
from mono_distill.apis.synth_bench.plan import Plan, Setting, World

ALL_ARMS = (
    'control',
    'monoskd',
    'monoskd_rank',
    'features',
    'response',
    'dense_gt',
    'dense_features',
    'monoskd_backbone',
    'monoskd_unlabelled',
    'pseudo_labels',
    'monoskd_pseudo',
    'all_labels',
    'monodistill',
    'monostl',
    'l2_random',
    'dasfd_shuffled',
)


def tiny_plan(arms: tuple[str, ...] = ALL_ARMS, seeds: int = 1) -> Plan:
    setting = Setting(
        title='tiny',
        arms=arms,
        seeds=seeds,
        base_channels=8,
        labelled=4,
        epoch_frames=8,
        teacher_epochs=1,
        base_epochs=1,
        arm_epochs=1,
    )
    return Plan({'main': World(frames=16, val_share=0.4, test_frames=4)}, {'tiny': setting})


def write_tiny_world(work: Path, plan: Plan) -> Folders:
    folders = Folders(work)
    make_world(plan.worlds['main'], folders.data('main'))
    plan.save(folders.plan)
    return folders
