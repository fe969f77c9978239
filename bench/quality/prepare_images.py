"""What pictures of one's own cost, before anything is trained: CPU time of preparing them, and of each later start.

    python -m bench.quality.prepare_images [--images 20000] [--side 64] [--from-side 64]

Makes so many random RGB pictures in a temporary folder, and prints the CPU seconds of all threads, the bytes of the
file, and all of it for a million.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bench.arguments import whole_number
from trainable.dataset import DATASETS

MILLION = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--images", type=whole_number, default=20_000)
    parser.add_argument("--side", type=whole_number, default=64, help="of the images that are trained on")
    parser.add_argument("--from-side", type=whole_number, default=64, help="of the pictures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder / "pictures", args.images, args.from_side)
        options = {"name": "image_folder", "path": str(folder / "pictures"), "size": args.side}
        dataset = DATASETS.build(options)
        for what in ("preparing", "a later start"):
            begin = time.process_time()
            images = dataset.load(folder / "cache")
            seconds = time.process_time() - begin
            each = seconds / args.images
            print(f"{what}: {seconds:.1f} s of CPU, {each * MILLION / 60:.1f} minutes of CPU for a million")
        assert len(images.x_NCHW) == args.images
        [file] = (folder / "cache" / "prepared").glob("*.safetensors")
        num_bytes = file.stat().st_size
        print(
            f"file: {num_bytes / 1e6:.0f} MB, {num_bytes / args.images * MILLION / 1e9:.1f} GB for a million"
        )


def write_pictures(folder: Path, num: int, side: int) -> None:
    """PNGs of smooth random colours with some noise, 1000 in a folder."""
    generator = np.random.default_rng(0)
    for index in range(num):
        parent = folder / f"{index // 1000:04d}"
        parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        pixels = np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(int)
        pixels += generator.integers(-8, 9, pixels.shape)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(parent / f"{index:07d}.png")


if __name__ == "__main__":
    main()
