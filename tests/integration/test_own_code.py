"""Code of the user's own on Ray: the network of docs/your-network.md, killed; a plugin. Both go on without files."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from search.machine.checkout import ROOT
from search.running.search import Search
from tests.integration.running import finish, start, until
from tests.pictures import write_pictures

pytestmark = pytest.mark.integration

SMALLER = """\
space: {noise: {lognormal: }, curriculum: {constant: }}
stopping: {name: asha, rungs: [0.5]}
noise_floor: {seeds: 1}
confirm: {top: 1, baselines: 1, rounds: [2]}
budget: {max_trials: 3}
"""


def test_a_network_of_ones_own_is_searched_killed_and_gone_on_with(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "your-network.md").read_text()
    (net,) = re.findall(r"```python\n# my_net.py\n(.*?)```", text, re.DOTALL)
    (file,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    file = re.sub("total_steps: [0-9]+, batch_size: [0-9]+", "total_steps: 16, batch_size: 8", file)
    file = re.sub("num_samples: [0-9]+", "num_samples: 40", file).replace("width: 32", "width: 8")
    write_pictures(tmp_path / "pictures", side=32)
    (tmp_path / "my_net.py").write_text(net)
    (tmp_path / "mine.yaml").write_text(f"{file}{SMALLER}storage: {{path: {tmp_path / 'runs'}}}\n")
    cache, storage, output = str(tmp_path / "cache"), tmp_path / "runs", tmp_path / "best.json"
    process = start("run", tmp_path / "mine.yaml", SCHEDULE_SEARCH_CACHE=cache)
    trials = storage / "mine" / "trials"
    until(
        lambda: any(trials.glob("*/*.safetensors")) or process.poll() is not None,
        300,
        "a checkpoint is there",
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (tmp_path / "my_net.py").unlink()
    again = ("run", "mine", "--storage", storage, "--output", output)
    code, _, err = finish(start(*again, SCHEDULE_SEARCH_CACHE=cache))
    assert (code, err) == (0, "")
    document = json.loads(output.read_text())
    search = Search.open("mine", str(storage))
    assert document["confirmed"] is True
    assert document["searched_at"]["network"]["file"] == "my_net.py"
    assert document["searched_at"]["network"]["sha256"] == search.header["network_sha256"]


PLUGGED = """\
name: own
plugins: [./mine]
data: stripes
network: {name: film_mlp, width: 8, depth: 1}
training: {total_steps: 40, batch_size: 16}
objective: {extractor: pixels, num_samples: 50}
space: {noise: {weibull: }, curriculum: {constant: }}
algorithm: thorough_tpe
noise_floor: {seeds: 0}
confirm: {top: 1, baselines: 1, rounds: [2]}
budget: {max_trials: 2}
"""


def test_choices_of_a_plugin_are_searched_and_gone_on_with_without_its_folder(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    for file, text in re.findall(r"```python\n# \w+/(\S+\.py)\n(.*?)```", readme, re.DOTALL):
        (tmp_path / "mine" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / file).write_text(text)
    cache, storage, output = str(tmp_path / "cache"), tmp_path / "runs", tmp_path / "best.json"
    (tmp_path / "own.yaml").write_text(f"{PLUGGED}storage: {{path: {storage}}}\n")
    code, _, err = finish(start("run", tmp_path / "own.yaml", SCHEDULE_SEARCH_CACHE=cache))
    assert (code, err) == (0, "")
    (tmp_path / "mine").rename(tmp_path / "gone")
    more = ("extend", "own", "--trials", "1", "--storage", storage, "--output", output)
    code, out, err = finish(start(*more, SCHEDULE_SEARCH_CACHE=cache))
    assert (code, err) == (0, "") and "weibull(" in out
    provenance = json.loads(output.read_text())["provenance"]
    assert provenance["plugins"] == Search.open("own", str(storage)).header["plugins"]
    assert provenance["plugins"].keys() == {"mine"}
