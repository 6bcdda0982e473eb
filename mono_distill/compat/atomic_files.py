"""Checkpoints and logs that are whole or absent.

Symptom cured: mmengine's local storage writes straight into the target file, so a run killed while it saves leaves a
truncated ``epoch_N.pth`` that ``last_checkpoint`` may already point at. Applies to mmengine 0.10; remove when its
``LocalBackend.put`` renames.
"""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mono_distill.utils.atomic import atomic_path


class AtomicLocalBackend(LocalBackend):
    """mmengine's local storage, writing to a temporary name first."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to ``filepath``."""
        with atomic_path(filepath) as temporary:
            temporary.write_bytes(obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to ``filepath``."""
        with atomic_path(filepath) as temporary:
            temporary.write_text(obj, encoding=encoding)


def install_atomic_files() -> None:
    """Make every local file that mmengine writes for this process atomic."""
    register_backend('local', AtomicLocalBackend, force=True, prefixes='')
