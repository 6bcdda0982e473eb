"""``mono-distill synth``: make a data set of the embedded driving world."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mono_distill.cli.long_runs import INTERRUPTED, default_workers, termination_as_interrupt

KITTI_TEXT = """\
Writes a KITTI object root below OUT: training/{image_2,velodyne,calib,label_2}, ImageSets/{train,val,trainval}.txt
(split by sequence) and sequences.json. Images, scans and labels come from one ray-cast scene; a sequence of ten frames
shares its scene and calibration. "mono-distill prepare kitti --root OUT" then makes infos and depth maps, as for the
real data. The same options give the same files on any number of workers; another seed shares no scene.
"""
NUSCENES_TEXT = """\
Writes a nuScenes data root below OUT: six cameras, 32-beam LiDAR sweeps at 20 Hz, the 13 tables and the map masks. The
scenes carry names of the mini split, so that the unmodified nuscenes-devkit loads and evaluates them. The same options
give the same files on any number of workers; another seed shares no scene.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command per format."""
    formats = parser.add_subparsers(dest='format', required=True, metavar='FORMAT')
    kitti = formats.add_parser('kitti', help='KITTI object benchmark', description=KITTI_TEXT)
    _add_common(kitti, image_scale=1.0, full_size='375x1242')
    kitti.add_argument('--frames', type=int, required=True, help='number of frames, in sequences of ten')
    kitti.add_argument(
        '--val-share', type=float, default=0.25, help='share of the sequences for validation (default: %(default)s)'
    )
    kitti.set_defaults(synth=_synth_kitti)
    nuscenes = formats.add_parser('nuscenes', help='nuScenes', description=NUSCENES_TEXT)
    _add_common(nuscenes, image_scale=0.5, full_size='900x1600')
    nuscenes.add_argument('--scenes', type=int, required=True, help='number of scenes')
    nuscenes.add_argument('--keyframes', type=int, required=True, help='annotated samples per scene, two a second')
    nuscenes.set_defaults(synth=_synth_nuscenes)


def run(args: argparse.Namespace) -> int:
    """Write the chosen data set; return 0, or 130 if it was interrupted."""
    try:
        with termination_as_interrupt():
            for line in args.synth(args):
                print(line)
    except KeyboardInterrupt:
        print('interrupted; what is written is whole, run the same command with --resume to continue')
        return INTERRUPTED
    return 0


def _add_common(parser: argparse.ArgumentParser, *, image_scale: float, full_size: str) -> None:
    parser.add_argument('--out', type=Path, required=True, help='folder to write, new or empty')
    parser.add_argument('--seed', type=int, default=0, help='two seeds share no scene (default: %(default)s)')
    parser.add_argument(
        '--image-scale',
        type=float,
        default=image_scale,
        help=f'size of the images relative to {full_size}, above 0 to 1 (default: %(default)s); the calibration is '
        'scaled with it',
    )
    parser.add_argument('--difficulty', type=float, default=0.5, help='of the world, 0 to 1 (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=default_workers(), help='processes (default: %(default)s)')
    parser.add_argument(
        '--resume', action='store_true', help='complete a folder that was begun with the same options and stopped'
    )


def _synth_kitti(args: argparse.Namespace) -> Iterator[str]:
    from mono_distill.synthetic.kitti.options import KittiOptions
    from mono_distill.synthetic.kitti.writer import MANIFEST, write_kitti

    options = KittiOptions(
        out=args.out,
        frames=args.frames,
        seed=args.seed,
        image_scale=args.image_scale,
        difficulty=args.difficulty,
        val_share=args.val_share,
    )
    report = write_kitti(options, workers=args.workers, resume=args.resume, progress=_progress('synth kitti', 'frame'))
    splits = ', '.join(f'{split} {count}' for split, count in report['splits'].items() if split != 'trainval')
    yield (
        f'{report["written"]} frames written, {report["kept"]} kept, of {report["sequences"]} sequences '
        f'({splits}) in {report["seconds"]:.0f} s'
    )
    yield 'objects: ' + ', '.join(f'{count} {name}' for name, count in report['objects'].items())
    if args.val_share > 0 and not report['splits']['val']:
        yield 'val is empty: one sequence has nothing to split, write more frames'
    yield f'{report["root"]}: see {MANIFEST}; next: mono-distill prepare kitti --root {report["root"]}'


def _synth_nuscenes(args: argparse.Namespace) -> Iterator[str]:
    from mono_distill.synthetic.nuscenes.options import NuScenesOptions
    from mono_distill.synthetic.nuscenes.writer import write_nuscenes

    options = NuScenesOptions(
        out=args.out,
        scenes=args.scenes,
        keyframes=args.keyframes,
        seed=args.seed,
        image_scale=args.image_scale,
        difficulty=args.difficulty,
    )
    report = write_nuscenes(
        options, workers=args.workers, resume=args.resume, progress=_progress('synth nuscenes', 'keyframe')
    )
    yield (
        f'{report["version"]}: {report["keyframes"]} key-frames ({report["kept_keyframes"]} kept), '
        f'{len(report["train_scenes"])} scenes to train, {len(report["val_scenes"])} to validate, '
        f'in {report["seconds"]:.0f} s'
    )
    yield 'boxes: ' + ', '.join(f'{count} {name}' for name, count in report['boxes_by_category'].items())
    yield f'{report["root"]}: NuScenes(version={report["version"]!r}, dataroot={report["root"]!r})'


def _progress(title: str, unit: str) -> Callable[[Iterable[Any], int], Iterable[Any]]:
    """Return what shows a bar while results come in; none where the output is not a terminal."""
    from tqdm import tqdm

    def show(results: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(results, total=total, unit=unit, desc=title, disable=None)

    return show
