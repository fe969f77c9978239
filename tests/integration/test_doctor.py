"""The rehearsal of `doctor`: a whole search, from a file to its end."""

import pytest

from tests.integration.running import finish, start

pytestmark = pytest.mark.integration


def test_doctor_rehearses_unless_it_is_to_be_quick() -> None:
    code, out, err = finish(start("doctor", "searches/digits.yaml"))
    assert (code, err) == (0, "")
    named = [line.split()[1] for line in out.splitlines()[:-1]]
    assert {"slots", "memory", "data", "features"} < set(named)
    assert named[-1] == "search"
    quick = finish(start("doctor", "searches/digits.yaml", "--quick"))[1]
    assert [line.split()[1] for line in quick.splitlines()[:-1]] == named[:-1]
