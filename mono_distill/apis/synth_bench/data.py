"""Make the worlds of the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mono_distill.apis.synth_bench.plan import World
from mono_distill.datasets.kitti.frame import FrameOptions
from mono_distill.datasets.kitti.layout import KittiFolder, open_output
from mono_distill.datasets.kitti.prepare import REPORT_NAME, prepare_kitti
from mono_distill.synthetic.kitti.options import KittiOptions
from mono_distill.synthetic.kitti.writer import write_kitti

Say = Callable[[str], None]


def make_world(world: World, root: Path, *, workers: int = 1, say: Say | None = None) -> None:
    """Write and prepare the frames of a world below ``root``: ``train`` (with its validation split) and ``test``.

    What is there already is kept, so an interrupted call is completed by the next one.

    Args:
        world: What to make.
        root: Its folder.
        workers: Processes.
        say: Takes a line about every step.

    Raises:
        ConfigError: The folder holds frames of another world.
        DataError: A file cannot be written.
    """
    parts = {
        'train': options_of(world, root / 'train', world.frames, world.seed, world.val_share),
        'test': options_of(world, root / 'test', world.test_frames, world.test_seed, 0.0),
    }
    for name, options in parts.items():
        # The lists of splits come last, after every frame; the report of the preparation after the infos.
        written = (options.out / 'ImageSets' / 'trainval.txt').is_file()
        report = write_kitti(options, workers=workers, resume=options.out.is_dir())
        if say and not written:
            say(f'{root.name}/{name}: {report["written"]} frames written in {report["seconds"]:.0f} s')
        if not (options.out / REPORT_NAME).is_file():
            folder = KittiFolder(options.out)
            prepare_kitti(FrameOptions(source=folder, output=open_output(folder, None)), workers=workers)
            if say:
                say(f'{root.name}/{name}: depth maps and infos written')


def options_of(world: World, out: Path, frames: int, seed: int, val_share: float) -> KittiOptions:
    """Return the writer's options for one part of a world."""
    return KittiOptions(
        out=out,
        frames=frames,
        seed=seed,
        image_scale=world.image_scale,
        difficulty=world.difficulty,
        val_share=val_share,
    )
