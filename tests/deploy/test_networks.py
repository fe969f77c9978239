"""Networks that let in the internet, however they are written, and those that do not."""

import pytest

from deploy.reading.networks import too_large_a_network


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0.0.0.0/0",
            "10.0.0.0/0",
            "0.0.0.0/00",
            "000.0.0.0/0",
            "0/0",
            "0.0.0.0/1",
            "1.2.3.4/7",
            "0.0.0.0/0.0.0.0",
        ),
        *("::/0", "0::/0", "::0/0", "0:0:0:0:0:0:0:0/0", "0000::/0", "::/1", "2000::/3", "2001:db8::/31"),
    ],
)
def test_a_network_larger_than_anybodys_own_is_found_in_any_text(text: str) -> None:
    for around in (text, f"allow {text}, please", f"--cidr={text};", f'"CidrIp":"{text}"', f"[{text}]"):
        assert too_large_a_network(around) == text


@pytest.mark.parametrize(
    "text",
    [
        *("10.0.0.0/8", "203.0.113.7/32", "10.0.0.0/255.0.0.0", "2001:db8::/32", "fd00::/48"),
        *(
            "1/3",
            "a/0",
            "/0",
            "step 0/10",
            "12:30/1",
            "http://127.0.0.1:8265/0",
            "https://x/y::/0",
            "1.2.3.4.5/0",
        ),
    ],
)
def test_what_is_smaller_or_no_network_is_not(text: str) -> None:
    assert too_large_a_network(text) is None
