"""What a shell line gives to `ray start`."""

import pytest

from deploy.start_command import ray_start_in


@pytest.mark.parametrize(
    ("line", "env"),
    [
        ("ray start --head", {}),
        ("export A=1 B=2; ray start", {"A": "1", "B": "2"}),
        ("ulimit -n 65536; export A=1 && ~/venv/bin/ray start", {"A": "1"}),
        ("A=1 ray start", {"A": "1"}),
        ("export A=1; A=2 ray start", {"A": "2"}),
        ("export A=1; A=2; ray start", {"A": "2"}),
        ("A=1; ray start", {}),
        ("A=1; export B=2; ray start", {"B": "2"}),
        ("export A=1; unset A; ray start", {}),
        ("export A=1; unset A; A=2; ray start", {}),
        ("export 'A=one two'; ray start", {"A": "one two"}),
        ("A=1 true; ray start", {}),
        ("ray start; export A=1", {}),
        ("true || export A=1; (ray start)", {"A": "1"}),
    ],
)
def test_the_environment_is_what_a_shell_would_export(line: str, env: dict[str, str]) -> None:
    start = ray_start_in(line)
    assert start is not None
    assert start.env == env


@pytest.mark.parametrize("line", ["ray stop", "echo ray start", "bash -c 'ray start'", "xray start", ""])
def test_a_line_that_starts_no_ray(line: str) -> None:
    assert ray_start_in(line) is None


def test_options_with_and_without_equals_sign() -> None:
    start = ray_start_in("ray start --head --port=6379 --dashboard-host 0.0.0.0 --block 2>&1")
    assert start is not None
    assert start.options == {"--head": "", "--port": "6379", "--dashboard-host": "0.0.0.0", "--block": "2>"}
