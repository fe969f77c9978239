"""A search of a network of the user's own: its place in the file, what makes it that search, what is asked first."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from search.checks.needs import check_own_network
from search.cli import main
from search.errors import InputError
from search.evidence.leaderboard import leaderboard
from search.file.holds import SettingSpec
from search.file.spec import SearchSpec, SpecError, load_spec
from search.record import Purpose
from search.running.cost import cost_of
from search.running.own_code import files_to_ship, keep_code
from search.running.plan_of import board_of
from search.running.search import Search
from search.running.size import size_of
from search.winner.document import export_document
from spaces import load_schedule
from tests.records import record, replicates
from tests.search.test_search import ASSETS
from trainable.setting import Setting
from trainable.task import OWN
from trainable.training.network_probe import check_network

ROOT = Path(__file__).resolve().parents[2]
NET = """
from torch import nn


class MyNet(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.a = nn.Conv2d(1, width, 3, padding=1)
        self.b = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x, c_noise):
        return self.b(self.a(x) + c_noise[:, None, None, None])
"""
TEXT = """\
name: mine
data: digits
network: {file: my_net.py, class: MyNet, options: {width: 6}}
objective: {extractor: pixels, num_samples: 100}
training: {total_steps: 8, batch_size: 8}
budget: {max_trials: 4}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search file beside my_net.py, while the current directory is another one."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SCHEDULE_SEARCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine" / "my_net.py").write_text(NET)
    path = tmp_path / "mine" / "mine.yaml"
    path.write_text(TEXT)
    return path


def changed(file: Path, old: str = "", new: str = "") -> SearchSpec:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new, 1) if old else TEXT)
    return load_spec(file)


def setting_of(spec: SettingSpec) -> Setting:
    return Setting(ASSETS, spec.network, spec.training, 100)


def test_the_file_says_what_it_has_and_reads_back(file: Path) -> None:
    spec = load_spec(file)
    assert spec.resolved()["network"] == {
        **{"name": "own", "file": str(file.parent / "my_net.py"), "class": "MyNet"},
        **{"options": {"width": 6}, "takes": "c_noise"},
    }
    again = file.parent / "again.yaml"
    again.write_text(spec.to_yaml())
    assert load_spec(again) == spec
    assert changed(file, "{file: my_net.py", "{name: own, file: my_net.py") == spec
    # The same search wherever the file lies; its content has a checksum of its own.
    (file.parent / "net").mkdir()
    (file.parent / "my_net.py").rename(file.parent / "net" / "my_net.py")
    assert changed(file, "my_net.py", "net/my_net.py").fingerprint_fields() == spec.fingerprint_fields()
    for old, new in (("class: MyNet", "class: Other"), ("width: 6", "width: 7"), ("}}", "}, takes: sigma}")):
        assert changed(file, old, new).fingerprint_fields() != spec.fingerprint_fields()
    settings = "budget: {max_trials: 4}\nholds_at: [network: {file: net/my_net.py, class: MyNet}]\n"
    here, there = (
        changed(file, "budget: {max_trials: 4}\n", settings.replace("net/my", path)).fingerprint_fields()
        for path in ("net/my", "../mine/net/my")
    )
    assert here == there


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", class: MyNet", "", "mine.yaml:3: network.class: is required, but is missing"),
        ("class:", "clas:", "mine.yaml:3: network.clas: unknown field (did you mean class?). Known: file, class,"),
        ("{file: my_net.py, class: MyNet, options: {width: 6}}", "my_net.py", "or name a file of yours: network:"),
        ("class: MyNet", "class: My-Net", "`class` must be as Python names things, but got 'My-Net'"),
        ("width: 6", "my width: 6", "`options` must be as Python names things, but got 'my width'"),
        ("}}", "}, takes: sigmas}", "network.takes"),
        ("{width: 6}", "[6]", "network.options: "),
    ],
)  # fmt: skip
def test_what_is_missing_or_unknown_is_one_line(file: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        changed(file, old, new)
    assert message in str(raised.value)
    assert "class_" not in str(raised.value)
    assert len(raised.value.args) == ("clas:" in new) + 1  # one line for each problem


def test_a_rule_that_it_breaks_is_told_before_anything_is_trained(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (check,) = check_own_network(load_spec(file))
    assert re.fullmatch(
        r"MyNet \(my_net.py\) is there, checksum [0-9a-f]{12}, and takes images of 1x8x8", check.message
    )
    assert main(["run", str(file), "--dry-run"]) == 0
    assert "steps/s per trial" in capsys.readouterr().out
    (file.parent / "my_net.py").write_text(NET.replace("nn.Conv2d(width, 1", "nn.Conv2d(width, 2"))
    assert main(["run", str(file), "--dry-run"]) == 2
    assert main(["run", str(file)]) == 2
    line = "error: network: MyNet (my_net.py) must give floats of the shape of the images, but forward(x, c_noise) of"
    assert [text[: len(line)] for text in capsys.readouterr().err.splitlines()] == [line, line]
    with pytest.raises(ValueError, match="must give floats of the shape"):
        list(check_own_network(load_spec(file)))
    assert not Path("runs/mine/study.db").exists()


def test_its_size_is_that_of_its_layers(file: Path) -> None:
    spec = changed(file, "batch_size: 8", "batch_size: 32")
    size = size_of(spec.resources, spec.own_setting, (1, 8, 8))
    assert size.parameters == 6 * 10 + 6 * 9 + 1
    assert size.operations == 4 * 32 * 64 * (2 * 6 * 9 + 2 * 6 * 9)
    assert cost_of(spec).operations == size.operations


def test_an_edited_file_is_another_search_and_one_that_is_gone_is_gone_on_without(file: Path) -> None:
    spec = load_spec(file)
    search = Search(spec)
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    keep_code(spec)
    search.write_file()
    assert search.header["network_sha256"] == spec.own_setting.network.code.sha256  # type: ignore[union-attr]
    Search(load_spec(file)).open_or_create(ASSETS)

    net, kept = file.parent / "my_net.py", search.folder / "code" / "my_net.py"
    net.write_text(f"{NET}# edited\n")
    for edited in (Search(load_spec(file)), Search.open("mine")):
        with pytest.raises(InputError, match="was measured with another network"):
            edited.open_or_create(ASSETS)
    net.unlink()
    again = Search.open("mine")
    again.open_or_create(ASSETS)
    assert again.spec.own_setting.network.code.path == str(kept.absolute())  # type: ignore[union-attr]

    net.write_text(NET)
    kept.write_text("edited")
    with pytest.raises(InputError, match=r"was edited\. Remove it"):
        keep_code(load_spec(file))


def test_the_same_holds_of_a_network_in_another_setting(file: Path) -> None:
    more = "budget: {max_trials: 4}\nholds_at: [network: {file: other.py, class: MyNet}]\n"
    (file.parent / "other.py").write_text(NET)
    spec = changed(file, "budget: {max_trials: 4}\n", more)
    search = Search(spec)
    search.folder.mkdir(parents=True)
    search.open_or_create(ASSETS)
    (elsewhere,) = spec.settings
    assert elsewhere.name == "own(file=other.py, class=MyNet)"
    search.check_settings({OWN: setting_of(spec.own_setting), elsewhere.name: setting_of(elsewhere)})
    keep_code(spec)
    assert {path.name for path in (search.folder / "code").iterdir()} == {"my_net.py", "other.py"}
    (file.parent / "other.py").write_text(f"{NET}# edited\n")
    (edited,) = load_spec(file).settings
    with pytest.raises(
        InputError, match=r"was measured with own\(file=other.py, class=MyNet\) by other data"
    ):
        search.check_settings({edited.name: setting_of(edited)})
    (file.parent / "net").mkdir()
    (file.parent / "net" / "my_net.py").write_text(f"{NET}# another\n")
    with pytest.raises(InputError, match=r"two files are called my_net\.py"):
        keep_code(changed(file, "budget: {max_trials: 4}\n", more.replace("other", "net/my_net")))


def test_submit_ships_it_with_the_search_file(file: Path, tmp_path: Path) -> None:
    spec = load_spec(file)
    files = files_to_ship(str(file), spec, "searches/mine.yaml")
    assert files.keys() == {"searches/mine.yaml", "searches/code/my_net.py"}
    for name, content in files.items():
        (tmp_path / "head" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "head" / name).write_bytes(content)
    (file.parent / "my_net.py").unlink()
    there = load_spec(tmp_path / "head" / "searches" / "mine.yaml")
    assert there.fingerprint_fields() == spec.fingerprint_fields()
    check_network(there.own_setting.network, (1, 8, 8), there.training)
    with pytest.raises(ValueError, match="cannot be read"):
        files_to_ship(str(file), load_spec(file), "searches/mine.yaml")
    file.write_text("name: mine\ndata: digits\n# as it is\n")
    assert files_to_ship(str(file), load_spec(file), "s.yaml") == {"s.yaml": file.read_bytes()}


def test_the_export_and_the_leaderboard_name_it(file: Path) -> None:
    spec = load_spec(file)
    baseline = {"purpose": Purpose.BASELINE, "preset": "ict"}
    records = [record(0, (8, 40.0), **baseline), *replicates(0, [41.0, 39.0], first=10), record(2, (8, 30.0))]
    records += replicates(2, [31.0, 29.0], first=20)
    header = {
        "search": spec.resolved(),
        **{"data_sha256": "a" * 64, "extractor_sha256": "b" * 64, "network_sha256": "c" * 64},
        **{"versions": {"torch": "2.13.0"}, "git_commit": None},
    }
    document = export_document(leaderboard("mine", "fd_pixels", records), header)
    named = {
        **{"name": "own", "file": "my_net.py", "class": "MyNet", "options": {"width": 6}},
        **{"takes": "c_noise", "sha256": "c" * 64},
    }
    assert document["searched_at"]["network"] == document["provenance"]["network"] == named
    assert str(file.parent) not in json.dumps(document)
    assert load_schedule(document).checked
    alone = changed(file, "budget: {max_trials: 4}\n", "presets: []\nnoise_floor: {seeds: 0}\n")
    (*_, note) = board_of(alone, [record(2, (8, 30.0))]).notes
    assert note.startswith("All of this is about MyNet (my_net.py) at 8 steps on digits.")
    elsewhere = "holds_at: [{training: {total_steps: 2x}}]\nbudget: {max_trials: 4}\n"
    held = changed(file, "budget: {max_trials: 4}\n", elsewhere)
    (*_, note) = board_of(held, [record(2, (8, 30.0))]).notes
    assert note == (
        "The search was made with MyNet (my_net.py) at 8 steps on digits, and what it finds is to hold in 1 other "
        "setting. Elsewhere another schedule may be the better one."
    )


def test_the_network_of_the_documentation_keeps_the_rules(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "your-network.md").read_text()
    (net,) = re.findall(r"```python\n# my_net.py\n(.*?)```", text, re.DOTALL)
    (search,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert net.count("\n") <= 50 and search.count("\n") <= 15
    (tmp_path / "my_net.py").write_text(net)
    (tmp_path / "mine.yaml").write_text(
        search.replace("{name: image_folder, path: pictures, size: 32}", "digits")
    )
    setting = load_spec(tmp_path / "mine.yaml").own_setting
    check_network(setting.network, (3, 32, 32), replace(setting.training, total_steps=4))
