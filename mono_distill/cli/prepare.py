"""``mono-distill prepare``: turn a data set folder into infos and LiDAR depth maps."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mono_distill.cli.long_runs import INTERRUPTED, default_workers, termination_as_interrupt

if TYPE_CHECKING:
    from mono_distill.datasets.kitti.frame import FrameResult

KITTI_TEXT = """\
Reads the KITTI object layout below ROOT: {training,testing}/{image_2,calib,label_2,velodyne}, any subset of frames, and
ImageSets/{train,val,trainval,test}.txt where they exist. Writes kitti_infos_{train,val,trainval,test}.pkl
(MMDetection3D's v2 format), {training,testing}/depth_sparse and depth_dense (16 bit PNG, metres x 256, 0 = no
measurement) and prepare_report.json. Without ImageSets, trainval is every labelled frame; train and val need their
lists (the usual 3712/3769 split comes with most KITTI detectors). A frame with a faulty or missing file is refused and
listed in the report; only if every frame is refused the command fails. An interrupted run continues where it stopped.
"""
NUSCENES_TEXT = """\
Reads a nuScenes root: ROOT/<version>/*.json, maps, samples and sweeps. Writes nuscenes_infos_{train,val}.pkl
(nuscenes_infos_test.pkl for a test version): MMDetection3D's v2 format with, besides, the scene, the key-frames before
and after, and every camera's own pose. A scene's split goes by its name in the devkit. Every file that the infos name
must exist, else nothing is written.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add one sub-command per data set."""
    data_sets = parser.add_subparsers(dest='data_set', required=True, metavar='DATA_SET')
    kitti = data_sets.add_parser('kitti', help='KITTI object benchmark', description=KITTI_TEXT)
    kitti.add_argument('--root', type=Path, required=True, help='folder that holds training/ and testing/')
    kitti.add_argument(
        '--out',
        type=Path,
        help='write here instead of into ROOT (needed if ROOT is read-only); links to the images, labels, scans and '
        'calibrations make it a KITTI root of its own: use it as data_root',
    )
    kitti.add_argument('--workers', type=int, default=default_workers(), help='processes (default: %(default)s)')
    kitti.add_argument('--overwrite', action='store_true', help='write depth maps anew that are there already')
    kitti.add_argument(
        '--no-lidar',
        action='store_true',
        help='read no scans and write no depth maps, for camera-only training; without this option a training frame '
        'needs a scan (a testing frame never does)',
    )
    kitti.set_defaults(prepare=_prepare_kitti)
    nuscenes = data_sets.add_parser('nuscenes', help='nuScenes', description=NUSCENES_TEXT)
    nuscenes.add_argument('--root', type=Path, required=True, help='folder that holds samples/ and the tables')
    nuscenes.add_argument(
        '--version', help='folder of the tables, such as v1.0-trainval or v1.0-mini (default: the only one there is)'
    )
    nuscenes.add_argument('--out', type=Path, help='write here instead of into ROOT (needed if ROOT is read-only)')
    nuscenes.add_argument(
        '--skip-file-checks', action='store_true', help='do not look whether the images, scans and sweeps exist'
    )
    nuscenes.set_defaults(prepare=_prepare_nuscenes)


def run(args: argparse.Namespace) -> int:
    """Prepare the chosen data set; return 0, or 130 if it was interrupted."""
    try:
        with termination_as_interrupt():
            return int(args.prepare(args))
    except KeyboardInterrupt:
        print('interrupted; what is written is whole, run the same command again to continue')
        return INTERRUPTED


def _prepare_kitti(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from mono_distill.datasets.kitti.frame import FrameOptions
    from mono_distill.datasets.kitti.layout import KittiFolder, check_source, open_output
    from mono_distill.datasets.kitti.prepare import prepare_kitti

    def progress(results: Iterable[FrameResult], total: int) -> Iterable[FrameResult]:
        # disable=None: no bar where the output is not a terminal.
        return tqdm(results, total=total, unit='frame', desc='prepare kitti', disable=None)

    source = KittiFolder(args.root)
    check_source(source)
    options = FrameOptions(
        source=source, output=open_output(source, args.out), lidar=not args.no_lidar, overwrite=args.overwrite
    )
    start = time.monotonic()
    report = prepare_kitti(options, workers=args.workers, progress=progress)
    print('\n'.join(_summary(report, time.monotonic() - start)))
    return 0


def _prepare_nuscenes(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from mono_distill.datasets.nuscenes.prepare import prepare_nuscenes

    def progress(scenes: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(scenes, total=total, unit='scene', desc='prepare nuscenes', disable=None)

    start = time.monotonic()
    report = prepare_nuscenes(
        args.root, version=args.version, out=args.out, check_files=not args.skip_file_checks, progress=progress
    )
    print('\n'.join(_nuscenes_summary(report, time.monotonic() - start)))
    return 0


def _nuscenes_summary(report: dict[str, Any], seconds: float) -> Iterator[str]:
    """Yield the lines that tell a user what was made and what was left out."""
    for split, entry in report['splits'].items():
        if entry['file'] is None:
            yield f'{split}: not written, {report["version"]} has no scene of it'
            continue
        yield f'{split}: {entry["file"]}, {entry["samples"]} key-frames of {_counted(entry["scenes"], "scene")}'
        if split != 'test':
            yield '  boxes: ' + ', '.join(f'{name} {number}' for name, number in entry['boxes'].items())
    if report['left_out']:
        names = report['left_out']
        yield f'left out, in no split of {report["version"]}: {_counted(len(names), "scene")}, first {names[0]}'
    yield f'{report["version"]} of {report["root"]} ({seconds:.0f} s)'


def _counted(number: int, noun: str) -> str:
    return f'{number} {noun}{"" if number == 1 else "s"}'


def _summary(report: dict[str, Any], seconds: float) -> Iterator[str]:
    """Yield the lines that tell a user what was made and what was not."""
    for subset, counts in report['subsets'].items():
        depth = counts['depth_maps']
        yield (
            f'{subset}: {counts["prepared"]} of {counts["frames"]} frames prepared; depth maps of '
            f'{depth["written"]} written, of {depth["kept"]} kept, {depth["none"]} without'
        )
        parts = Counter(entry['part'] for entry in counts['refused'])
        for part, number in parts.items():
            first = next(entry for entry in counts['refused'] if entry['part'] == part)
            yield f'  refused for {part}: {number}, first {first["sample_id"]}: {first["reason"]}'
        if counts['warnings']:
            yield f'  frames with odd labels: {len(counts["warnings"])}, see the report'
    for split, entry in report['splits'].items():
        yield _split_line(split, entry)
    yield f'report: {Path(report["output"]) / "prepare_report.json"} ({seconds:.0f} s)'


def _split_line(split: str, entry: dict[str, Any]) -> str:
    if entry['listed_in'] is None and not entry['listed']:
        return f'{split}: not written, there is no ImageSets/{split}.txt'
    losses = ', '.join(f'{entry[name]} {name}' for name in ('refused', 'absent') if entry[name])
    target = entry['file'] or 'not written'
    return f'{split}: {target}, {entry["prepared"]} of {entry["listed"]} frames' + (f' ({losses})' if losses else '')
