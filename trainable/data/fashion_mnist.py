"""Fashion-MNIST: 60,000 + 10,000 grey 28x28 pictures of clothes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from trainable.data._idx import TEST, TRAIN, read_folder
from trainable.dataset import Dataset, Images
from trainable.download import Remote, download, file_sha256
from trainable.storage.path import expanded

# zalandoresearch/fashion-mnist, MIT licence: its readme's addresses, the repository itself last.
URLS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{name}",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/{name}",
)


class Original(NamedTuple):
    """What identifies a file; md5 is what the readme gives, SHA-256 is what is checked."""

    num_bytes: int
    md5: str
    sha256: str


FILES = {
    TRAIN[0]: Original(
        26421880,
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    TRAIN[1]: Original(
        29515,
        "25c81989df183df01b3e8a0aad5dffbe",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    TEST[0]: Original(
        4422102,
        "bef4ecab320f06d8554ea6380940ec79",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    TEST[1]: Original(
        5148,
        "bb300cfdad3c16e7a12a480ee83cd310",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}


@dataclass(frozen=True, kw_only=True)
class FashionMNIST(Dataset):
    """60,000 pictures of clothes, 28x28 grey, 10,000 held out (Xiao et al. 2017, arXiv:1708.07747).

    root: a folder with the four original files; without it they are downloaded once (31 MB) into
    `fashion-mnist` in the cache folder. Verified by SHA-256 either way.
    """

    root: str | None = None

    EXTRACTOR: ClassVar[str] = "fashion_cnn"
    PATHS: ClassVar[tuple[str, ...]] = ("root",)
    SECOND_EXTRACTOR: ClassVar[Mapping[str, Any]] = {
        **{"name": "strided_cnn", "epochs": 4, "batch_size": 128},
        **{"learning_rate": 0.003, "min_accuracy": 0.83},
    }

    def downloads(self, cache_dir: Path) -> tuple[Remote, ...]:
        if self.root is not None:
            return ()
        return tuple(
            Remote(
                tuple(url.format(name=name) for url in URLS),
                cache_dir / "fashion-mnist" / name,
                original.sha256,
                original.num_bytes,
            )
            for name, original in FILES.items()
        )

    def load(self, cache_dir: Path) -> Images:
        """x_NCHW uint8 (60000, 1, 28, 28)."""
        if self.root is None:
            folder = cache_dir / "fashion-mnist"
            for remote in self.downloads(cache_dir):
                download(*remote)
        else:
            folder = expanded(self.root)
            for name, original in FILES.items():
                self._check(folder / name, original)
        return read_folder("fashion_mnist", folder)

    def _check(self, path: Path, original: Original) -> None:
        try:
            sha256 = file_sha256(path)
        except OSError as error:
            raise ValueError(
                f"Fashion-MNIST's {path.name} cannot be read in {path.parent}: {error.strerror}. Leave out "
                "`root` to download it."
            ) from error
        if sha256 != original.sha256:
            raise ValueError(
                f"{path} must be Fashion-MNIST's original with SHA-256 {original.sha256}, but has {sha256}. "
                "Leave out `root` to download it."
            )
