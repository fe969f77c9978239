"""Pictures of a user's own, from their folder to a confirmed winner; many of them are mapped by all workers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from search.machine.checkout import ROOT
from search.running.search import Search
from tests.integration.running import PLAIN, finish, toy
from tests.pictures import write_pictures

pytestmark = pytest.mark.integration

MAPPED = """
import sys
from search.cli import main
from trainable.data import _prepared
_prepared.HELD_BYTES = 1000
sys.exit(main(sys.argv[1:]))
"""


def test_workers_map_the_images_and_the_search_ends_with_a_winner(tmp_path: Path) -> None:
    write_pictures(tmp_path / "pictures")
    data = "{name: image_folder, path: pictures, color: grey}"
    text = toy(120, 2, PLAIN).replace("digits", data).replace("num_samples", "extractor: pixels, num_samples")
    file = tmp_path / "toy.yaml"
    file.write_text(f"{text}\nstorage: {{path: {tmp_path / 'runs'}}}\n")
    output = tmp_path / "best.json"
    process = subprocess.Popen(
        [sys.executable, "-c", MAPPED, "run", str(file), "--output", str(output)],
        cwd=ROOT,
        env=os.environ | {"SCHEDULE_SEARCH_CACHE": str(tmp_path / "cache")},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    code, _, err = finish(process)
    assert (code, err) == (0, "")
    document = json.loads(output.read_text())
    search = Search.open("toy", str(tmp_path / "runs"))
    assert document["objective"]["data_sha256"] == search.header["data_sha256"]
    assert document["confirmed"] is True
    [prepared] = (tmp_path / "cache" / "prepared").glob("*.safetensors")
    assert prepared.name == f"{search.header['data_sha256'][:16]}.safetensors"
    kept = (tmp_path / "runs" / "toy" / "search.yaml").read_text()
    assert f"path: {tmp_path / 'pictures'}\n" in kept
