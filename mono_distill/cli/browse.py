"""``mono-distill browse``: draw the samples a config trains on, as the network gets them."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

from mono_distill.cli.options import add_cfg_options
from mono_distill.utils.errors import ConfigError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument('config', help='config file, or package::path; a distillation config shows its own data')
    parser.add_argument('--out', type=Path, help='folder for the pictures (default: <work_dir>/browse_<split>)')
    parser.add_argument('--num', type=int, default=8, help='draw samples 0 to NUM - 1 (default: %(default)s)')
    parser.add_argument('--split', choices=['train', 'val'], default='train', help='whose dataloader to read')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentations (default: %(default)s)')
    add_cfg_options(parser)
    parser.add_argument('--epoch', type=int, default=0, help='epoch whose augmentations to draw (default: %(default)s)')


def run(args: argparse.Namespace) -> int:
    """Write one picture per sample, named after its index and frame."""
    from mono_distill.apis.launch import load_config
    from mono_distill.visualization.picture import write_picture

    if args.num < 1:
        raise ConfigError(f'--num must be at least 1, got {args.num}')
    config = load_config(args.config, args.cfg_options)
    out = args.out or Path(config.work_dir) / f'browse_{args.split}'
    dataset = build_dataset(config, args.split, seed=args.seed, epoch=args.epoch)
    count = min(args.num, len(dataset))
    for index in range(count):
        sample = dataset[index]
        frame = sample['data_samples'].metainfo.get('sample_id', '') if 'data_samples' in sample else ''
        write_picture(out / f'{index:06d}_{frame}.png', draw(sample, dataset.metainfo.get('classes')))
    print(f'{count} pictures of {args.split} samples (of {len(dataset)}) in {out}')
    return 0


def build_dataset(config: Any, split: str, *, seed: int, epoch: int) -> Any:
    """Build the data set of a split; the config is not changed.

    Pipelines of KITTI data sets that load no annotations (those for testing) get them added, so that boxes can be
    drawn; the samples stay what they are otherwise.

    Raises:
        ConfigError: The config has no data loader for the split.
    """
    from mmengine.registry import init_default_scope

    from mono_distill.hooks.loops import reproducible_parts
    from mono_distill.registry import DATASETS

    loader = config.get(f'{split}_dataloader')
    if loader is None:
        raise ConfigError(f'the config has no {split}_dataloader')
    init_default_scope(config.get('default_scope', 'mmdet3d'))
    options = copy.deepcopy(loader['dataset'])
    _add_annotations(options)
    dataset = DATASETS.build(options)
    for part in reproducible_parts(dataset):
        part.set_seed(seed)
        part.set_epoch(epoch)
    return dataset


def draw(sample: dict[str, Any], classes: Any) -> Any:
    """Draw one packed sample.

    Raises:
        ConfigError: The pipeline does not pack single-camera samples.
    """
    from mono_distill.datasets.kitti.velodyne import read_velodyne
    from mono_distill.visualization.sample import draw_sample, points_in_camera

    inputs = sample.get('inputs', {})
    if getattr(inputs.get('img'), 'ndim', 0) != 3 or 'cam2img' not in sample['data_samples'].metainfo:
        raise ConfigError(
            'browse draws single-camera samples packed by mono_distill.PackMono3DInputs; '
            f'this pipeline gives inputs {sorted(inputs)}'
        )
    metainfo = sample['data_samples'].metainfo
    lidar_path = metainfo.get('lidar_path')
    points = None
    if lidar_path and Path(lidar_path).is_file():
        points = points_in_camera(read_velodyne(lidar_path), metainfo)
    return draw_sample(
        inputs['img'], sample['data_samples'], depth_map=inputs.get('depth_map'), points=points, classes=classes
    )


def _add_annotations(options: Any) -> None:
    """Insert the annotation loader after the image loader where a KITTI pipeline lacks it; changes ``options``."""
    for inner in [options.get('dataset'), *options.get('datasets', [])]:
        if inner is not None:
            _add_annotations(inner)
    if not str(options.get('type', '')).endswith('KittiMonoDataset'):
        return
    names = [str(step['type']).removeprefix('mono_distill.') for step in options.get('pipeline', [])]
    if 'LoadMonoImage' in names and 'LoadMonoKittiAnnotations' not in names:
        place = names.index('LoadMonoImage') + 1
        options['pipeline'].insert(place, dict(type='mono_distill.LoadMonoKittiAnnotations'))
