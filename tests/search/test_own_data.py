"""A search of data of a user's own: where its files are looked for, what makes it that search, what is asked first."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.checks import head, needs
from search.checks.check import Check
from search.cli import main
from search.engine import storage_check
from search.errors import InputError
from search.file.shipped_paths import check_paths_absolute
from search.file.spec import SearchSpec, SpecError, load_spec
from search.running.cost import cost_of
from tests.pictures import write_pictures
from trainable.data import _prepared

TEXT = """\
name: mine
data: {name: image_folder, path: pictures}
network: {name: film_mlp, width: 8, depth: 1}
objective: {extractor: pixels}
training: {total_steps: 8, batch_size: 8}
budget: {max_trials: 4}
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search file beside a folder of pictures, while the current directory is another one."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("SCHEDULE_SEARCH_CACHE", str(tmp_path / "cache"))
    write_pictures(tmp_path / "mine" / "pictures")
    path = tmp_path / "mine" / "search.yaml"
    path.write_text(TEXT)
    return path


def changed(file: Path, **texts: str) -> SearchSpec:
    """The search of the file with each `old` replaced by `new`."""
    text = TEXT
    for old, new in texts.items():
        text = text.replace(old, new)
    file.write_text(text)
    return load_spec(file)


def refused(file: Path, old: str, new: str) -> str:
    with pytest.raises(SpecError) as raised:
        changed(file, **{old: new})
    assert "\n" not in str(raised.value)
    return str(raised.value)


def path_of(spec: SearchSpec) -> Any:
    return spec.resolved()["data"]["path"]


def test_a_path_is_relative_to_the_search_file(file: Path) -> None:
    pictures = file.parent / "pictures"
    assert path_of(load_spec(file)) == str(pictures)
    assert path_of(changed(file, pictures="../mine/pictures")) == str(pictures)
    assert path_of(changed(file, pictures=str(pictures))) == str(pictures)
    # As earlier versions had it; but where both are there, it is the search file's.
    Path("others").mkdir()
    assert path_of(changed(file, pictures="others")) == str(Path("others").absolute())
    (file.parent / "others").mkdir()
    assert path_of(changed(file, pictures="others")) == str(file.parent / "others")
    assert path_of(changed(file, pictures="nowhere")) == str(file.parent / "nowhere")


def test_the_same_holds_of_weights(file: Path) -> None:
    objective = f"{{name: dinov2, weights_path: w.pth, sha256: {'a' * 64}}}"
    spec = changed(file, **{"extractor: pixels": f"extractor: {objective}"})
    assert spec.resolved()["objective"]["extractor"]["weights_path"] == str(file.parent / "w.pth")


def test_where_files_lie_is_no_part_of_a_search_but_what_is_made_of_them_is(file: Path) -> None:
    spec = load_spec(file)
    assert changed(file, pictures="nowhere").fingerprint_fields() == spec.fingerprint_fields()
    for new in ("pictures, size: 4", "pictures, held_out: 0.5", "pictures, color: grey"):
        assert changed(file, pictures=new).fingerprint_fields() != spec.fingerprint_fields()


def test_without_a_feature_network_the_possible_ones_are_named(file: Path) -> None:
    line = refused(file, "objective: {extractor: pixels}", "")
    assert (
        "objective.extractor: must be named, since no features are the right ones for all images. For yours"
        in line
    )
    possible, _, others = line.partition("; not as it is: ")
    assert "3x8x8, are possible: " in possible
    assert "pixels (gives 192 features; " in possible
    assert others.endswith(". Write objective: {extractor: NAME}")
    assert "small_cnn (learns from the labels" in possible
    assert "dinov2 (needs `weights_path`" in others
    assert "resnet56 (takes RGB images of 32x32, but these have shape (3, 8, 8))" in others
    assert "digits_cnn" not in line
    for picture in (file.parent / "pictures" / "class0").iterdir():
        picture.rename(file.parent / "pictures" / picture.name)
    line = refused(file, "objective: {extractor: pixels}", "")
    assert "small_cnn (learns from labels, but there are none)" in line.partition("; not as it is: ")[2]


def test_data_that_is_not_there_is_told_before_its_features_are(file: Path) -> None:
    (file.parent / "pictures").rename(file.parent / "nowhere")
    line = refused(file, "objective: {extractor: pixels}", "")
    assert f"search.yaml:2: data: {file.parent / 'pictures'} is not on " in line


def test_features_that_do_not_suit_are_told_before_anything_is_trained(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(TEXT.replace("pixels", "resnet56"))
    for verb in (["run", str(file), "--dry-run"], ["run", str(file)]):
        assert main(verb) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.startswith("error: Feature network 'resnet56' ")


def test_doctor_looks_at_the_pictures(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def findings(spec: SearchSpec) -> dict[str, Check]:
        return {check.name: check for check in needs.findings(spec, 100.0)}

    assert findings(load_spec(file))["data"].message == "image_folder: 120 images of 3x8x8"
    write_pictures(file.parent / "pictures", num=400)
    monkeypatch.setattr(_prepared, "HELD_BYTES", 100)
    message = findings(changed(file, pictures="pictures, held_out: 0.25"))["data"].message
    assert message.startswith(
        "image_folder: 300 images of 3x8x8, and 100 held out to compare samples with, which all"
    )
    (file.parent / "pictures" / "class0" / "0000.png").write_bytes(b"")
    found = findings(load_spec(file))
    assert (found["data"].level, "0000.png is no PNG" in found["data"].message) == ("fail", True)
    suits = findings(changed(file, pixels="small_cnn", pictures="x.npy", image_folder="arrays"))
    assert suits["data"].level == "fail"
    np.save(file.parent / "x.npy", np.zeros((100, 8, 8), np.uint8))
    suits = findings(changed(file, pixels="small_cnn", pictures="x.npy", image_folder="arrays"))
    assert (suits["data"].level, suits["features"].level) == ("ok", "fail")
    assert "'small_cnn' learns from labels, but there are none" in suits["features"].message


def test_a_cluster_needs_absolute_paths_and_the_data_on_its_head(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        SpecError, match=r"yaml:2: data\.path: must be an absolute path of the cluster, .* pictures"
    ):
        check_paths_absolute(file)
    file.write_text(TEXT.replace("pictures", str(file.parent / "pictures")))
    check_paths_absolute(file)
    file.write_text(
        TEXT.replace("pixels", "{name: inception, weights_path: ~/w.pth}").replace("pictures", "/x")
    )
    check_paths_absolute(file)
    file.write_text(
        TEXT.replace("pixels", "{name: inception, weights_path: w.pth}").replace("pictures", "/x")
    )
    with pytest.raises(SpecError, match=r"objective\.extractor\.weights_path: must be an absolute path"):
        check_paths_absolute(file)
    monkeypatch.setattr(head, "connect", lambda: None)
    monkeypatch.setattr(storage_check, "check_shared", lambda location: 1)
    with pytest.raises(InputError, match=r"/x is not on .* A search reads its data where it is run"):
        head.check_storage_of(changed(file, pictures="/x"))
    assert head.check_storage_of(changed(file))


def test_a_step_is_timed_on_the_pictures(file: Path) -> None:
    cost = cost_of(load_spec(file))
    assert cost.steps_per_second is not None and cost.steps_per_second > 0


def test_a_winner_may_have_to_hold_on_other_pictures_by_the_same_features(file: Path) -> None:
    others = file.parent / "others"
    write_pictures(others)
    holds = "holds_at: [{data: {name: image_folder, path: others, size: 4}}]\n"
    spec = changed(file, **{"budget:": f"{holds}budget:"})
    [setting] = spec.settings
    assert setting.name == "image_folder(size=4)"
    assert setting.extractor == spec.objective.extractor
    assert spec.resolved()["holds_at"]["settings"][0]["data"]["path"] == str(others)
    moved = changed(file, **{"budget:": f"{holds.replace('others', 'nowhere')}budget:"})
    assert moved.fingerprint_fields() == spec.fingerprint_fields()
    again = holds.replace("size: 4}}", "size: 4}}, {data: {name: image_folder, path: pictures, size: 4}}")
    line = refused(file, "budget:", f"{again}budget:")
    assert (
        "holds_at.settings[1]: must differ from the others in more than where files lie, but image_f" in line
    )
    with pytest.raises(SpecError, match=r"holds_at\[0\]\.data\.path: must be an absolute path"):
        check_paths_absolute(file)


def test_features_of_one_data_set_do_not_suit_other_data_that_names_none(file: Path) -> None:
    holds = "holds_at: [{data: {name: image_folder, path: pictures}}]\n"
    file.write_text(
        TEXT.replace("budget:", f"{holds}budget:").replace(
            "{name: image_folder, path: pictures}\nnet", "digits\nnet"
        )
    )
    file.write_text(file.read_text().replace("objective: {extractor: pixels}\n", ""))
    with pytest.raises(
        SpecError, match=r"holds_at\.settings\[0\]\.data: must suit the features .* digits_cnn is for digits"
    ):
        load_spec(file)
