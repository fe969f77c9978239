"""What a line gives to `ray start`, and what is not taken for read."""

import pytest

from deploy.reading.start_command import RayStart, mentions_ray_start, ray_start_of

GPUS = 'eval "$(cd ~/x && .venv/bin/python -m search.gpu_node)"'


@pytest.mark.parametrize(
    ("line", "env", "options"),
    [
        ("ray start --head", {}, {"--head": ""}),
        ("export A=1 B=x,y; ray start", {"A": "1", "B": "x,y"}, {}),
        ("export A=1 A=2; ray start", {"A": "2"}, {}),
        (
            "export A='one; two'; ray start --resources='{\"a\": 1}'",
            {"A": "one; two"},
            {"--resources": '{"a": 1}'},
        ),
        ("ulimit -n 9;\n export A=1;\nray start --a=b --a=c", {"A": "1"}, {"--a": "c"}),
        (
            f"export A=1; {GPUS}; ~/x/.venv/bin/ray start --address=$RAY_HEAD_IP:6379 $RAY_GPUS",
            {"A": "1"},
            {"--address": "$RAY_HEAD_IP:6379"},
        ),
    ],
)
def test_variables_and_options_are_read_off_a_line_of_the_form(
    line: str, env: dict[str, str], options: dict[str, str]
) -> None:
    assert ray_start_of(line) == RayStart(env, options)
    assert mentions_ray_start(line)


@pytest.mark.parametrize(
    "line",
    [
        # Whether these variables are seen is not certain, or they are not.
        "A=1; ray start",
        "A=1 ray start",
        "export A=1; unset A; ray start",
        "export A=1 && ray start",
        "true || export A=1; ray start",
        "(export A=1); ray start",
        "export A=1 | true; ray start",
        "export A=1 & ray start",
        "export A=1; . ./env.sh; ray start",
        "export A=1; eval $X; ray start",
        "export A=$X; ray start",
        'export A="1"; ray start',
        "true # export A=1\nray start",
        "export A=1\nray start",
        f"{GPUS} && export A=2; ray start",
        # So are these options.
        "ray start --head || ray start --dashboard-host=0.0.0.0",
        "ray start --dashboard-host 0.0.0.0",
        "ray start --head\n--dashboard-host=127.0.0.1",
        "ray start --head # --dashboard-host=127.0.0.1",
        "ray start --num-cpus=$(nproc)",
        "ray start --a='b'c",
        "ray start $OPTIONS",
        "ray start >log",
        # What runs around Ray is not known.
        "bash -c 'ray start'",
        "sudo ray start --head",
        "nohup ray start --head &",
        "env -u A ray start --head",
        "python -m ray.scripts.scripts start --head",
        "if true; then ray start; fi",
        "f() { ray start; }",
        "cat <<EOF\nexport A=1\nEOF\nray start",
        "x=`true; export A=1`; ray start",
        "ray start 'unfinished",
        "echo ray start",
    ],
)
def test_a_line_in_another_form_is_not_taken_for_read(line: str) -> None:
    assert ray_start_of(line) is None
    assert mentions_ray_start(line)


@pytest.mark.parametrize("line", ["ray stop", "xray start", "ray status; systemctl start x", ""])
def test_a_line_that_starts_no_ray(line: str) -> None:
    assert ray_start_of(line) is None
    assert not mentions_ray_start(line)
