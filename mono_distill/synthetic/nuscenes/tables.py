"""nuScenes' 13 tables from the records of the key-frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from pyquaternion import Quaternion

from mono_distill.synthetic.nuscenes import layout
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.synthetic.nuscenes.rig import CAMERAS, CHANNELS, image_shape, scene_rig
from mono_distill.synthetic.scene import CATEGORIES

Row = dict[str, Any]

ATTRIBUTES = {
    'vehicle.moving': 'Vehicle is moving.',
    'vehicle.stopped': 'Vehicle stands on a lane.',
    'vehicle.parked': 'Vehicle stands beside the lanes.',
    'cycle.with_rider': 'There is a rider on the bicycle or motorcycle.',
    'cycle.without_rider': 'There is no rider on the bicycle or motorcycle.',
    'pedestrian.sitting_lying_down': 'The human is sitting or lying down.',
    'pedestrian.standing': 'The human is standing.',
    'pedestrian.moving': 'The human is moving.',
}
VISIBILITY = {'1': 'v0-40', '2': 'v40-60', '3': 'v60-80', '4': 'v80-100'}


def build_tables(options: NuScenesOptions, records: Sequence[Sequence[Row]]) -> dict[str, list[Row]]:
    """Return every table by name.

    Args:
        options: Of the data set.
        records: For each scene its key-frames' records in order, see
            :func:`mono_distill.synthetic.nuscenes.keyframe.make_keyframe`.
    """
    tables = _constant_tables(options.seed)
    names = ('log', 'scene', 'map', 'calibrated_sensor', 'sample', 'ego_pose', 'sample_data')
    tables |= {name: [] for name in (*names, 'instance', 'sample_annotation')}
    for index, record in enumerate(records):
        _add_scene(tables, options, index, record)
        _add_sample_data(tables, options, index, record)
        _add_annotations(tables, options.seed, index, record)
    return tables


def _constant_tables(seed: int) -> dict[str, list[Row]]:
    """Return the tables that do not depend on the scenes."""
    return {
        'category': [
            {'token': token_of(seed, 'category', name), 'name': name, 'description': f'Synthetic {name}.'}
            for name in CATEGORIES
        ],
        'attribute': [
            {'token': token_of(seed, 'attribute', name), 'name': name, 'description': text}
            for name, text in ATTRIBUTES.items()
        ],
        'visibility': [
            {'token': level, 'level': name, 'description': f'visibility of whole object is {name[1:]} %'}
            for level, name in VISIBILITY.items()
        ],
        'sensor': [
            {
                'token': token_of(seed, 'sensor', channel),
                'channel': channel,
                'modality': 'camera' if channel in CAMERAS else 'lidar',
            }
            for channel in CHANNELS
        ],
    }


def token_of(seed: int, table: str, *parts: object) -> str:
    """Return the token of a row; each table has its own."""
    return layout.token(seed, table, *parts)


def _add_scene(tables: dict[str, list[Row]], options: NuScenesOptions, index: int, records: Sequence[Row]) -> None:
    """Add the log, map, scene, calibrations and samples of a scene."""
    seed = options.seed
    log, scene = token_of(seed, 'log', index), token_of(seed, 'scene', index)
    samples = [token_of(seed, 'sample', index, record['keyframe']) for record in records]
    tables['log'].append(
        {
            'token': log,
            'logfile': layout.logfile(index),
            'vehicle': layout.VEHICLE,
            'date_captured': layout.date(index),
            'location': layout.LOCATION,
        }
    )
    file = layout.map_file(seed, index)
    tables['map'].append(
        {'token': token_of(seed, 'map', index), 'log_tokens': [log], 'category': 'semantic_prior', 'filename': file}
    )
    tables['scene'].append(
        {
            'token': scene,
            'log_token': log,
            'nbr_samples': len(samples),
            'first_sample_token': samples[0],
            'last_sample_token': samples[-1],
            'name': records[0]['scene'],
            'description': f'Synthetic scene {index} of seed {seed}, difficulty {options.difficulty}',
        }
    )
    for mount in scene_rig(seed, index, options.image_scale).values():
        tables['calibrated_sensor'].append(
            {
                'token': token_of(seed, 'calibrated_sensor', index, mount.channel),
                'sensor_token': token_of(seed, 'sensor', mount.channel),
                'translation': mount.sensor2ego[:3, 3].tolist(),
                'rotation': Quaternion(matrix=mount.sensor2ego[:3, :3]).elements.tolist(),
                'camera_intrinsic': [] if mount.cam2img is None else mount.cam2img.tolist(),
            }
        )
    rows = [
        {'token': sample, 'timestamp': record['data'][-1]['timestamp'], 'scene_token': scene}
        for sample, record in zip(samples, records, strict=True)
    ]
    tables['sample'] += linked(rows)


def _add_sample_data(
    tables: dict[str, list[Row]], options: NuScenesOptions, index: int, records: Sequence[Row]
) -> None:
    """Add a row and an ego pose for every file of the sensors; each channel is a list of its own."""
    height, width = image_shape(options.image_scale)
    entries = [(record['keyframe'], entry) for record in records for entry in record['data']]
    entries.sort(key=lambda item: (CHANNELS.index(item[1]['channel']), item[1]['timestamp']))
    for channel, group in groupby(entries, key=lambda item: item[1]['channel']):
        rows = []
        for keyframe, entry in group:
            token = token_of(options.seed, 'sample_data', index, channel, entry['timestamp'])
            pose = {key: entry[key] for key in ('timestamp', 'rotation', 'translation')}
            # As in nuScenes, a file and its ego pose share their token.
            tables['ego_pose'].append({'token': token} | pose)
            camera = channel in CAMERAS
            rows.append(
                {
                    'token': token,
                    'sample_token': token_of(options.seed, 'sample', index, keyframe),
                    'ego_pose_token': token,
                    'calibrated_sensor_token': token_of(options.seed, 'calibrated_sensor', index, channel),
                    'timestamp': entry['timestamp'],
                    'fileformat': 'jpg' if camera else 'pcd',
                    'is_key_frame': entry['is_key_frame'],
                    'height': height if camera else 0,
                    'width': width if camera else 0,
                    'filename': entry['filename'],
                }
            )
        tables['sample_data'] += linked(rows)


def _add_annotations(tables: dict[str, list[Row]], seed: int, index: int, records: Sequence[Row]) -> None:
    """Add the boxes of a scene and the instances that they are boxes of."""
    tracks: dict[str, list[tuple[int, Row]]] = {}
    for record in records:
        for row in record['annotations']:
            tracks.setdefault(row['actor'], []).append((record['keyframe'], row))
    for actor, track in tracks.items():
        instance = token_of(seed, 'instance', index, actor)
        rows = [
            {
                'token': token_of(seed, 'sample_annotation', index, keyframe, actor),
                'sample_token': token_of(seed, 'sample', index, keyframe),
                'instance_token': instance,
                'visibility_token': row['visibility'],
                'attribute_tokens': [token_of(seed, 'attribute', row['attribute'])] if row['attribute'] else [],
                'translation': row['translation'],
                'size': row['size'],
                'rotation': row['rotation'],
                'num_lidar_pts': row['num_lidar_pts'],
                'num_radar_pts': 0,
            }
            for keyframe, row in track
        ]
        tables['sample_annotation'] += linked(rows)
        tables['instance'].append(
            {
                'token': instance,
                'category_token': token_of(seed, 'category', track[0][1]['category']),
                'nbr_annotations': len(rows),
                'first_annotation_token': rows[0]['token'],
                'last_annotation_token': rows[-1]['token'],
            }
        )


def linked(rows: Iterable[Row]) -> list[Row]:
    """Return rows with ``prev`` and ``next``, the tokens of the neighbours or nothing at the ends.

    Example:
        >>> linked([{'token': 'a'}, {'token': 'b'}])
        [{'token': 'a', 'prev': '', 'next': 'b'}, {'token': 'b', 'prev': 'a', 'next': ''}]
    """
    listed = list(rows)
    tokens = ['', *(row['token'] for row in listed), '']
    return [row | {'prev': tokens[place], 'next': tokens[place + 2]} for place, row in enumerate(listed)]
