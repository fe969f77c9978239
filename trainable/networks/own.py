import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainable.network import Code, Network
from trainable.networks._file import class_in, read, told

if TYPE_CHECKING:
    from torch import nn

    from trainable.network import NetworkModule


@dataclass(frozen=True, kw_only=True)
class Own(Network):
    """A network of your own: an nn.Module in a Python file (docs/your-network.md).

    file: its path, relative to the search file. class: its name there. options: what its constructor is given.
    takes: what `forward` gets beside the images, c_noise = ln(sigma) / 4, or sigma itself; the images are scaled by
    c_in in either case.
    """

    file: str
    class_: str
    options: dict[str, Any] = field(default_factory=dict)
    takes: Literal["c_noise", "sigma"] = "c_noise"

    PATHS: ClassVar[tuple[str, ...]] = ("file",)

    def __post_init__(self) -> None:
        super().__post_init__()
        for option, value in (("class", self.class_), *(("options", name) for name in self.options)):
            if not re.fullmatch(r"[^\W\d]\w*", value):
                raise ValueError(f"`{option}` must be as Python names things, but got {value!r:.60}")

    @functools.cached_property
    def code(self) -> Code:
        """As it was when it was first asked for; it goes with this to other processes."""
        return read(self.file)

    @property
    def title(self) -> str:
        return f"{self.class_} ({Path(self.file).name})"

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "file": Path(self.file).name, "sha256": self.code.sha256}

    def check(self) -> None:
        class_in(self.code, self.class_)

    def told(self, error: BaseException) -> str:
        return told(error, self.code)

    def build(self, image_shape: tuple[int, int, int]) -> "NetworkModule":
        from trainable.networks._own import OwnModule

        kind = class_in(self.code, self.class_)

        def make() -> "nn.Module":
            try:
                return kind(**self.options)
            except (Exception, SystemExit) as error:
                given = ", ".join(f"{name}={value!r:.40}" for name, value in self.options.items())
                raise ValueError(
                    f"network: {told(error, self.code)}, when {self.class_}({given}) was made"
                ) from error

        return OwnModule(make, takes_sigma=self.takes == "sigma")
