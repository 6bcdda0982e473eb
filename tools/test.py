"""Evaluate a checkpoint: what ``mim test mono_distill CONFIG -C CHECKPOINT`` runs. Same as ``mono-distill test``."""

import sys

from mono_distill.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['test', *sys.argv[1:]]))
