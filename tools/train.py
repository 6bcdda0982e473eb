"""Train a config: what ``mim train mono_distill CONFIG`` runs. Same as ``mono-distill train``."""

import sys

from mono_distill.cli.main import main

if __name__ == '__main__':
    sys.exit(main(['train', *sys.argv[1:]]))
