"""The images to look at: files, folders, patterns, arrays."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mono_distill.utils.errors import DataError, ShapeError

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ImageSource:
    """One image that is read when its turn comes.

    Attributes:
        name: Base of the names of output files: the file's name without suffix, ``image_000000`` for an array.
        path: The file, or None.
        array: The image itself, or None.
    """

    name: str
    path: Path | None = None
    array: Picture | None = None

    @property
    def shown(self) -> str:
        """The image's name in messages."""
        return self.name if self.path is None else str(self.path)

    def read(self) -> Picture:
        """Return (H, W, 3) BGR uint8.

        Raises:
            DataError: The file is missing, not readable or no image.
        """
        return self.array if self.array is not None else read_image(self.path or self.name)


def read_image(path: str | os.PathLike[str]) -> Picture:
    """Read an image file as (H, W, 3) BGR uint8, as the data sets do.

    Raises:
        DataError: It is missing, not readable or no image.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f'cannot read image {path} ({error.strerror})') from error
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        raise DataError(f'image {path} is damaged or no image ({len(content)} bytes do not decode)')
    return image


def collect_images(images: Any) -> list[ImageSource]:
    """List images in the order in which they are given.

    Args:
        images: An image file; a folder (its image files in the order of their names, without those in folders below);
            a pattern such as ``'a/*.png'`` or ``'a/**/*.jpg'``; a (H, W, 3) BGR uint8 array; or a sequence of these.

    Raises:
        DataError: Nothing is there, or a folder or pattern has no image.
        ShapeError: An array is no picture.
    """
    given = list(images) if _is_sequence(images) else [images]
    found: list[ImageSource] = []
    for item in given:
        if isinstance(item, (str, os.PathLike)):
            found += [ImageSource(path.stem, path) for path in _files(os.fspath(item))]
        else:
            found.append(ImageSource(f'image_{len(found):06d}', array=_checked(item)))
    if not found:
        raise DataError('there is no image to look at')
    return found


def check_names(sources: Iterable[ImageSource]) -> None:
    """Refuse images whose output files would have the same name.

    Raises:
        DataError: Two images have the same name.
    """
    listed = list(sources)
    twice = [name for name, count in Counter(source.name for source in listed).items() if count > 1]
    if twice:
        clash = [source.shown for source in listed if source.name == twice[0]]
        raise DataError(
            f'{len(clash)} images are named {twice[0]} ({clash[0]}, {clash[1]}), and output files are named after '
            'their image; infer them one folder at a time, each with its own output folder'
        )


def _is_sequence(images: Any) -> bool:
    return isinstance(images, (Sequence, Iterable)) and not isinstance(images, (str, os.PathLike, np.ndarray))


def _files(text: str) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        inside = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES and entry.is_file())
        files = [entry for entry in inside if not entry.name.startswith('.')]
        if not files:
            raise DataError(f'folder {path} holds no image ({", ".join(SUFFIXES)})')
        return files
    if not path.exists() and glob.has_magic(text):
        matches = sorted(Path(match) for match in glob.glob(text, recursive=True))
        files = [match for match in matches if match.is_file()]
        if not files:
            raise DataError(f"no file matches '{text}'")
        return files
    if not path.exists():
        raise DataError(f'image {path} does not exist (current folder: {Path.cwd()})')
    return [path]


def _checked(array: Any) -> Picture:
    shape, kind = getattr(array, 'shape', None), getattr(array, 'dtype', type(array).__name__)
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ShapeError(
            f'an image must be a numpy array (H, W, 3) of uint8, blue-green-red as OpenCV reads it, or a path; got '
            f'{kind} of shape {shape}'
        )
    if min(array.shape) < 1:
        raise ShapeError(f'an image has no pixels: its shape is {shape}')
    return array
