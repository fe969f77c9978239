"""What a shell line gives to `ray start`, and what is not taken for read."""

import pytest

from deploy.reading.start_command import RayStart, commands_in, ray_starts_in


def the_start(text: str) -> RayStart:
    starts, all_of_them = ray_starts_in(text)
    assert all_of_them
    (start,) = starts
    return start


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ("ray start --head", {}),
        ("export A=1 B=2; ray start", {"A": "1", "B": "2"}),
        ("ulimit -n 65536; export A=1 && ~/venv/bin/ray start", {"A": "1"}),
        ("export A=1\nray start", {"A": "1"}),
        ("A=1 ray start", {"A": "1"}),
        ("export A=1; A=2 ray start", {"A": "2"}),
        ("export A=1; A=2; ray start", {"A": "2"}),
        ("export A=1; A=2 true; ray start", {"A": "1"}),
        ("A=1; ray start", {}),
        ("A=1; export B=2; ray start", {"B": "2"}),
        ("export A=1; unset A; ray start", {}),
        ("export A=1; unset A; A=2; ray start", {}),
        ("export 'A=one two'; ray start", {"A": "one two"}),
        ("A=1 true; ray start", {}),
        ("ray start; export A=1", {}),
        ("export A=1; (ray start)", {"A": "1"}),
        ('export A=1; eval "$(cd ~/x && python -m search.gpu_node)"; ray start $RAY_GPUS', {"A": "1"}),
        ("export A=1; ray start 2>&1 | tee log", {"A": "1"}),
        # Whether these are run, and where, is not certain.
        ("true || export A=1; ray start", {}),
        ("test -s ~/.ray/auth_token && export A=1; ulimit -n 9; ray start", {}),
        ("true &&\nexport A=1\nray start", {}),
        ("(export A=1); ray start", {}),
        ("export A=1 | true; ray start", {}),
        ("true | export A=1; ray start", {}),
        ("export A=1 & ray start", {}),
        ("export A=1; (export A=2); ray start", {}),
        ("export A=1; false && export A=2; ray start", {}),
        ("export A=1; export -n A; ray start", {}),
        ("export A=1; declare +x A; ray start", {}),
        ("export A=1; eval $X; ray start", {}),
        ("export A=1; . ./env.sh; ray start", {}),
        ("true # export A=1\nray start", {}),
    ],
)
def test_the_environment_is_what_a_shell_would_export_for_certain(line: str, env: dict[str, str]) -> None:
    assert the_start(line).env == env


def test_every_start_of_a_line_counts() -> None:
    line = "export A=1; ray start --head || A=2 ray start --head --dashboard-host=0.0.0.0"
    starts, all_of_them = ray_starts_in(line)
    assert all_of_them
    assert [start.env for start in starts] == [{"A": "1"}, {"A": "2"}]
    assert [start.options.get("--dashboard-host") for start in starts] == [None, "0.0.0.0"]


@pytest.mark.parametrize("line", ["ray stop", "xray start", "ray status; systemctl start x", ""])
def test_a_line_that_starts_no_ray(line: str) -> None:
    assert ray_starts_in(line) == ([], True)


@pytest.mark.parametrize(
    "line",
    [
        "bash -c 'ray start'",
        "sudo ray start --head",
        "nohup ray start --head &",
        "env -u A ray start --head",
        "python -m ray.scripts.scripts start --head",
        "if true; then ray start; fi",
        "if false; then :; export A=1; fi; ray start",
        "{ export A=1; ray start; }",
        "f() { ray start; }",
        "cat <<EOF\nexport A=1\nEOF\nray start",
        'x="$(echo "; export A=1; echo ")"; ray start',
        "x=`true; export A=1`; ray start",
        "export A=1; ray start $OPTIONS",
        "ray start 'unfinished",
        "# export A=1; ray start",
        "echo ray start",
    ],
)
def test_what_is_not_understood_is_said_to_be_so(line: str) -> None:
    assert ray_starts_in(line)[1] is False


def test_options_with_and_without_equals_sign() -> None:
    start = the_start("ray start --head --port=6379 --dashboard-host 0.0.0.0 --block >log 2>&1")
    assert start.options == {"--head": "", "--port": "6379", "--dashboard-host": "0.0.0.0", "--block": ""}


@pytest.mark.parametrize(
    "line",
    [
        "ray start --dashboard-host=0.0.0.0 # --dashboard-host=127.0.0.1",
        "ray start --dashboard-host=127.0.0.1 --num-cpus=$(nproc) --dashboard-host=0.0.0.0",
        "ray start --dashboard-host='0.0.0'.0",
    ],
)
def test_an_option_is_what_ray_would_take(line: str) -> None:
    assert the_start(line).options["--dashboard-host"] == "0.0.0.0"


def test_which_commands_are_run_for_certain() -> None:
    commands = commands_in("a b; c && d || e; (f); g | h; i &\nj")
    assert ["".join(command.words) for command in commands if command.certain] == ["ab", "c", "j"]
    assert len(commands) == 9
