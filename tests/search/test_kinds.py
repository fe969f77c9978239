"""A new kind of choice: one line in the table of kinds and one field, here of a kind that is thrown away."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import ValidationError

from search import cli
from search.file.choices import choice
from search.file.kinds import KINDS, Kind, registry_of
from search.file.messages import flatten
from search.file.sections import Section
from search.file.spec import SearchSpec
from search.file.writing import plain
from search.file.yaml12 import field_name
from spaces.registry import Choices

ROOT = Path(__file__).parents[2]
FLAVOUR = '''
from dataclasses import dataclass
from typing import ClassVar

from spaces.choice import Choice
from spaces.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Flavour(Choice):
    """What a flavour is."""


FLAVOURS = Registry("flavours", Flavour, "flavour")
'''
SWEET = '''
from dataclasses import dataclass
from typing import ClassVar

from flavour import Flavour
from spaces.choice import Remark


@dataclass(frozen=True, kw_only=True)
class Sweet(Flavour):
    """As sweet as said."""

    sugar: float = 1.0
    lumps: int = 2

    BOUNDS: ClassVar = {"sugar": (0.0, 5.0), "lumps": (0, 9)}

    @classmethod
    def remark(cls):
        return Remark({"taste": "mild"}, "tastes mild")
'''


@pytest.fixture
def flavours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flavour.py").write_text(FLAVOUR)
    (tmp_path / "flavours").mkdir()
    (tmp_path / "flavours" / "__init__.py").touch()
    (tmp_path / "flavours" / "sweet.py").write_text(SWEET)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("flavour", "flavours", "flavours.sweet"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(KINDS, "flavours", Kind("flavour:FLAVOURS", "flavour"))


class Dish(Section):
    flavour: Annotated[Any, choice("flavour")] = "sweet"


def messages(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Dish(**fields)
    return [f"{field_name(place)}: {message}" for place, message, _ in flatten(caught.value)]


@pytest.mark.usefixtures("flavours")
def test_a_new_kind_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "flavours"]) == 0
    assert capsys.readouterr().out == (
        "1 flavours in flavours/\n\nsweet\n    As sweet as said.\n    tastes mild\n"
        "      sugar: float = 1.0   accepted: 0 .. 5\n      lumps: int = 2   accepted: 0 .. 9\n"
    )
    assert cli.main(["list", "flavours", "--json"]) == 0
    (sweet,) = json.loads(capsys.readouterr().out)["choices"]
    assert (sweet["name"], sweet["taste"]) == ("sweet", "mild")


@pytest.mark.usefixtures("flavours")
def test_a_new_kind_is_chosen_and_written() -> None:
    for given in ("sweet", {"name": "sweet"}, {"name": "sweet", "lumps": 3}):
        dish = Dish(flavour=given)
        assert Dish(flavour=plain(dish)["flavour"]) == dish
    assert plain(Dish(flavour="sweet")) == {"flavour": {"name": "sweet", "sugar": 1.0, "lumps": 2}}


@pytest.mark.usefixtures("flavours")
def test_what_a_new_kind_does_not_take_is_refused_with_its_place() -> None:
    assert messages(flavour="swet") == [
        "flavour.name: unknown flavour 'swet' (did you mean sweet?). Known: sweet. Add one in flavours/"
    ]
    assert messages(flavour={"name": "sweet", "suger": 1, "lumps": 10}) == [
        "flavour.suger: unknown field (did you mean sugar?). Known: sugar, lumps",
        "flavour.lumps: `0 <= lumps <= 9` must hold, but got lumps=10",
    ]
    assert messages(flavour={"name": "sweet", "sugar": 6, "lumps": 10}) == [
        "flavour.sugar: `0 <= sugar <= 5` must hold, but got sugar=6.0",
        "flavour.lumps: `0 <= lumps <= 9` must hold, but got lumps=10",
    ]
    assert messages(flavour={}) == [
        "flavour: must have the `name` of a flavour (sweet), but got an empty mapping"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_the_table_is_a_folder_of_choices(kind: str) -> None:
    choices = KINDS[kind].choices()
    assert isinstance(choices, Choices)
    assert len(choices) > 0
    assert (ROOT / choices.package.replace(".", "/")).is_dir()


def test_every_field_of_the_table_is_one_of_a_search_file() -> None:
    fields = {kind.field for kind in KINDS.values() if kind.field}
    nested = {"extractor", "metric", "optimizer_strategy"}  # of `objective`, `measures` and `training`
    assert fields - nested <= SearchSpec.model_fields.keys()
    assert all(registry_of(field).base for field in fields)


def test_the_help_of_list_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom search import cli\n"
        "try:\n    cli.main(['list', '--help'])\nexcept SystemExit:\n    pass\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(kind in done.stdout for kind in KINDS)
