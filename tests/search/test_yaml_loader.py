"""The reader of search files: YAML 1.2 scalars, lines, and everything that it refuses."""

import random
import time

import pytest

from search.file.yaml12 import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_SHOWN,
    MAX_VALUES,
    SpecError,
    field_name,
    parse_document,
    read_document,
    resolve_scalar,
)


def lines_of(error: pytest.ExceptionInfo[SpecError]) -> list[str]:
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1e3", 1000.0),
        ("1.0e3", 1000.0),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("012", 12),
        ("-7", -7),
        ("0x10", 16),
        ("0o17", 15),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("12:30:45", "12:30:45"),
        ("2026-01-01", "2026-01-01"),
        ("1_000", "1_000"),
        ("1/3", "1/3"),
        ("e3", "e3"),
        (".", "."),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    resolved = resolve_scalar(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_quoted_scalars_and_blocks_stay_text() -> None:
    data = parse_document("a: '1e-3'\nb: \"true\"\nc: |\n  12\nd: '<<'\n").data
    assert data == {"a": "1e-3", "b": "true", "c": "12\n", "d": "<<"}


def test_every_value_knows_its_line() -> None:
    document = parse_document("a: 1\n\nb:\n  c: [1,\n    2]\n  d:\n    - x\n    - e: y\n")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "c", 0): 4,
        ("b", "c", 1): 5,
        ("b", "d"): 6,
        ("b", "d", 0): 7,
        ("b", "d", 1): 8,
        ("b", "d", 1, "e"): 8,
    }


def test_a_place_that_is_not_in_the_file_has_the_line_of_what_is_around_it() -> None:
    document = parse_document("a:\n  b:\n    c: 1\n")
    assert document.line_of(("a", "b", "missing", 3)) == 2
    assert document.line_of(("other",)) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", "x.yaml:2: a: duplicate key: also on line 1"),
        ("a:\n  b: 1\n  c: 2\n  b: {d: 1}\n", "x.yaml:4: a.b: duplicate key: also on line 2"),
        ("a: 1\nb: *c\n", "x.yaml:2: b: aliases are not allowed, but got *c: write values out"),
        ("a: &c 1\n", "x.yaml:1: a: anchors are not allowed, but got &c: write values out"),
        ("a:\n  <<: {b: 1}\n", "x.yaml:2: a: merges are not allowed: write the keys out"),
        ("a: !!python/object:os.system x\n", "x.yaml:1: a: tags are not allowed"),
        ("a: [1, !x 2]\n", "x.yaml:1: a[1]: tags are not allowed, but got '!x'"),
        ("a: .nan\n", "x.yaml:1: a: a number must be finite, but got .nan"),
        ("a: -.inf\n", "x.yaml:1: a: a number must be finite, but got -.inf"),
        ("a: 1e999\n", "x.yaml:1: a: a number must be finite, but 1e999 is beyond what a float holds"),
        ("a: " + "9" * 5000, "x.yaml:1: a: a number must have at most 64 characters, but has 5000"),
        ("? [a]\n: b\n", "x.yaml:1: a key must be plain text, but got a list"),
        ("*a : 1\n", "x.yaml:1: aliases are not allowed, but got *a"),
        ("a: 1\n---\nb: 1\n", "x.yaml:2: must hold one document"),
        ("a: [1,\n  2\n", "x.yaml:3: not YAML: "),
        ("a: b: c\n", "x.yaml:1: not YAML: mapping values are not allowed here"),
        ("a: 1\n\tb: 2\n", "x.yaml:2: not YAML: "),
        ("a: 1\nb: \x07\n", "x.yaml:2: must be printable text, but has the character '\\x07'"),
    ],
)
def test_what_could_surprise_is_refused_with_its_line(text: str, line: str) -> None:
    with pytest.raises(SpecError) as error:
        parse_document(text, "x.yaml")
    assert lines_of(error)[0].startswith(line)


def test_all_problems_are_reported_in_the_order_of_the_lines() -> None:
    with pytest.raises(SpecError) as error:
        parse_document("a: .inf\nb: &x 1\na: 2\nc: *x\n", "x.yaml")
    assert [line.split(":")[1] for line in lines_of(error)] == ["1", "2", "3", "4"]


def test_bytes_that_are_not_utf8_are_named_with_their_line() -> None:
    with pytest.raises(SpecError, match=r"x\.yaml:2: must be UTF-8 text, but has the byte 0xff"):
        parse_document(b"a: 1\nb: \xff\n", "x.yaml")


def test_a_byte_order_mark_and_windows_line_ends_are_fine() -> None:
    assert parse_document(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").data == {"a": 1, "b": 2}


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SpecError, match="at most 1048576 bytes"):
        read_document(path)


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "null\0byte"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(SpecError) as error:
        read_document(str(tmp_path / name))
    assert len(lines_of(error)) == 1


@pytest.mark.parametrize("text", ["[" * 200_000, "a:\n" + "".join(" " * i + "- \n" for i in range(1, 60))])
def test_depth_is_limited_and_costs_no_stack(text: str) -> None:
    with pytest.raises(SpecError):
        parse_document(text)


def test_depth_up_to_the_limit_is_read() -> None:
    assert parse_document("[" * MAX_DEPTH + "]" * MAX_DEPTH).data is not None
    with pytest.raises(SpecError, match=f"nested at most {MAX_DEPTH} deep"):
        parse_document("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_an_alias_bomb_is_refused_at_once() -> None:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 9))
    start = time.process_time()
    with pytest.raises(SpecError) as error:
        parse_document(f"l0: &l0 [x]\n{levels}\n")
    assert time.process_time() - start < 0.5
    assert len(lines_of(error)) == MAX_SHOWN + 1
    assert lines_of(error)[-1].startswith("... and ")


def test_the_number_of_values_is_limited() -> None:
    with pytest.raises(SpecError, match=f"at most {MAX_VALUES} values"):
        parse_document("[" + "1," * MAX_VALUES + "1]")


def test_keys_from_the_file_cannot_break_the_line() -> None:
    assert field_name(("a", "b\nc", 2, "d e")) == "a.'b\\nc'[2].'d e'"
    with pytest.raises(SpecError) as error:
        parse_document('"a\\nb": .inf\n', "x.yaml")
    assert lines_of(error) == ["x.yaml:1: 'a\\nb': a number must be finite, but got .inf"]


def test_random_bytes_give_data_or_spec_errors() -> None:
    rng = random.Random(0)
    alphabet = "ab:-[]{}&*!|>'\"%@`#,? \n\t0.e<~\\é\x00"
    for _ in range(500):
        text = "".join(rng.choice(alphabet) for _ in range(rng.randrange(40)))
        lines = []
        try:
            parse_document(text, "x.yaml")
        except SpecError as error:
            lines = str(error).splitlines()
        assert all(line.startswith("x.yaml") for line in lines)
