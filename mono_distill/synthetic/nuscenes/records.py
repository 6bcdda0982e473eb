"""Which key-frames of a folder are complete: a record is written when all the files it names are there."""

from __future__ import annotations

import json
from typing import Any

from mono_distill.synthetic.nuscenes import layout
from mono_distill.synthetic.nuscenes.options import NuScenesOptions
from mono_distill.utils.errors import DataError


def finished_record(job: layout.Job, options: NuScenesOptions) -> dict[str, Any] | None:
    """Return the record of a key-frame, None if it or one of its files is missing.

    Raises:
        DataError: If the record cannot be read.
    """
    path = options.out / job.record
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f'cannot read {path}: {error}; delete it, and its key-frame is made again') from error
    files = [entry['filename'] for entry in record['data']]
    if job.keyframe == 0:
        files.append(layout.map_file(options.seed, job.scene))
    return record if all((options.out / name).is_file() for name in files) else None
