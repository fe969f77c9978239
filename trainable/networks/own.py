import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainable.draws import drawing
from trainable.network import Code, Network, NetworkModule
from trainable.networks._file import class_in, read, told


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

    def told(self, error: Exception) -> str:
        return told(error, self.code)

    def build(self, image_shape: tuple[int, int, int]) -> NetworkModule:
        kind = class_in(self.code, self.class_)

        def make() -> nn.Module:
            try:
                return kind(**self.options)
            except Exception as error:
                given = ", ".join(f"{name}={value!r:.40}" for name, value in self.options.items())
                raise ValueError(
                    f"network: {told(error, self.code)}, when {self.class_}({given}) was made"
                ) from error

        return _OwnModule(make, takes_sigma=self.takes == "sigma")


class _OwnModule(NetworkModule):
    """Any module as ours. Its first weights are those with which it is made."""

    draws = True  # that it does not, nobody knows

    def __init__(self, make: Callable[[], nn.Module], takes_sigma: bool):
        super().__init__()
        self._make, self._takes_sigma = make, takes_sigma
        self.own = make()

    def reset_parameters(self, generator: torch.Generator) -> None:
        seed = int(torch.randint(2**62, (), generator=generator))
        with drawing(torch.device("cpu"), seed):
            made = self._make()
        with torch.no_grad():
            for mine, new in (
                (self.own.parameters(), made.parameters()),
                (self.own.buffers(), made.buffers()),
            ):
                for tensor, value in zip(mine, new, strict=True):
                    tensor.copy_(value)

    def forward(self, x_BCHW: Tensor, c_noise_B: Tensor) -> Tensor:
        out: Tensor = self.own(x_BCHW, (4 * c_noise_B).exp() if self._takes_sigma else c_noise_B)
        return out
