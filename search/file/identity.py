"""What makes a search this search, and what may change between two runs of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from search.file.yaml12 import field_name
from search.file.yaml_walk import Place

# What may change between two runs of a search: what is measured when it is over, on what it is done and where it is
# kept. Anything else makes it another search; of that, `extend`, `confirm` and `hold` change how much is done.
FREE = ("sampling", "measures", "resources", "storage", "tracking")
AMOUNT = {"budget": "extend", "confirm": "confirm", "holds_at": "hold"}  # by the verb that changes it


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names of the fields that differ between two `fingerprint_fields()`, as "training.batch_size"."""

    def differences(one: Any, other: Any, place: Place) -> Iterator[str]:
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            # Another choice has other options: its name says enough.
            if place and one.get("name") != other.get("name"):
                yield field_name((*place, "name"))
                return
            for key in dict.fromkeys([*one, *other]):
                if key not in one or key not in other:
                    yield field_name((*place, key))
                else:
                    yield from differences(one[key], other[key], (*place, key))
        elif one != other or type(one) is not type(other):
            yield field_name(place)

    return list(differences(old, new, ()))
