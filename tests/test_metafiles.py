"""model-index.yml lists every config that `mim search` should find."""

from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
METAFILES = [yaml.safe_load((ROOT / name).read_text()) for name in INDEX]
MODELS = [model for metafile in METAFILES for model in metafile['Models']]
COLLECTIONS = {entry['Name']: entry for metafile in METAFILES for entry in metafile['Collections']}


def test_every_metafile_is_in_the_index():
    assert sorted(str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('metafile.yml')) == INDEX


def test_every_config_is_listed_once_under_its_own_name():
    # Those for the embedded world in KITTI's format belong to the benchmark.
    configs = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    expected = [str(path.relative_to(ROOT)) for path in configs if not path.stem.endswith('_synth')]
    assert sorted(model['Config'] for model in MODELS) == sorted(expected)
    assert [model['Name'] for model in MODELS] == [Path(model['Config']).stem for model in MODELS]


def test_every_collection_exists_and_its_page_too():
    assert {model['In Collection'] for model in MODELS} == set(COLLECTIONS)
    pages = [entry['README'] for entry in COLLECTIONS.values() if 'README' in entry]
    assert [page for page in pages if not (ROOT / page).is_file()] == []
