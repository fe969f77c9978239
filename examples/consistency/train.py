"""Trains a small consistency model of points in the plane, as ECT does (Geng et al. 2024, arXiv:2406.14548).

The noise levels are those of a schedule. Plain torch, nothing of the search is imported:
    python train.py --schedule schedule.json --seed 0 --steps 1000 --rungs 500,1000 --out FOLDER
"""

import argparse
import json
import math
import signal
from pathlib import Path

import torch
from torch import nn

SIGMA_DATA = 0.5


def draw_pair(stages, step, batch_size, generator):
    """The ends t > r of an interval between two noise levels, drawn with its probability."""
    stage = [stage for stage in stages if stage["start_step"] <= step][-1]
    p, sigma = torch.tensor(stage["interval_probabilities"]), torch.tensor(stage["sigmas"])
    i = torch.multinomial(p, batch_size, replacement=True, generator=generator)
    return sigma[i + 1], sigma[i]


class ConsistencyModel(nn.Module):
    """f(x, sigma) = c_skip x + c_out F(c_in x, ln(sigma) / 4), Table 1 of EDM: nearly x at the lowest level."""

    def __init__(self, width=64):
        super().__init__()
        self.register_buffer("waves", 2.0 ** torch.arange(-2, 3))
        layers = nn.Linear(12, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        self.layers = nn.Sequential(*layers)

    def forward(self, x, sigma):
        sigma = sigma[:, None]
        total = (sigma**2 + SIGMA_DATA**2).sqrt()
        angle = sigma.log() / 4 * self.waves
        out = self.layers(torch.cat([x / total, angle.sin(), angle.cos()], dim=1))
        return (SIGMA_DATA / total) ** 2 * x + sigma * SIGMA_DATA / total * out


def spiral(n, generator):
    """Points of two arms, mean 0, standard deviation about .5."""
    u, arm = torch.rand(n, generator=generator).sqrt(), torch.randint(0, 2, (n,), generator=generator)
    angle = 3 * math.pi * u + math.pi * arm
    x = u[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return 0.9 * x + 0.02 * torch.randn(n, 2, generator=generator)


def chamfer(x, y):
    """How far points of one set are from the nearest of the other, both ways: lower is better."""
    distance = torch.cdist(x, y)
    return (distance.amin(0).mean() + distance.amin(1).mean()).item()


def main():
    parser = argparse.ArgumentParser()
    for name, kind in (("schedule", Path), ("seed", int), ("steps", int), ("rungs", str), ("out", Path)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--width", type=int, default=64)
    args = parser.parse_args()
    rungs, stages = args.rungs.split(","), json.loads(args.schedule.read_text())["training"]["stages"]
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    real = spiral(1000, torch.Generator().manual_seed(12345))
    model, average = ConsistencyModel(args.width), ConsistencyModel(args.width)
    average.load_state_dict(model.state_dict())
    optimizer, done = torch.optim.Adam(model.parameters(), lr=1e-3), 0
    parts = {"model": model, "average": average, "optimizer": optimizer}
    checkpoint = args.out / "checkpoints" / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        generator.set_state(state["generator"])
        done = state["step"]
    print(f"from step {done} of {args.steps}", flush=True)

    def save(step):
        checkpoint.parent.mkdir(exist_ok=True)
        state = {name: part.state_dict() for name, part in parts.items()}
        partial = checkpoint.with_suffix(".partial")
        torch.save({**state, "generator": generator.get_state(), "step": step}, partial)
        partial.replace(checkpoint)  # whole or absent

    told_to_stop = []
    signal.signal(signal.SIGTERM, lambda *_: told_to_stop.append(True))
    for step in range(done, args.steps):
        t, r = draw_pair(stages, step, 256, generator)
        x, noise = spiral(256, generator), torch.randn(256, 2, generator=generator)
        with torch.no_grad():
            target = model(x + r[:, None] * noise, r)
        distance = (model(x + t[:, None] * noise, t) - target).norm(dim=1)
        loss = (distance / (t - r)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for mean, now in zip(average.parameters(), model.parameters(), strict=True):
                mean.lerp_(now, 0.01)
        if str(step + 1) in rungs:
            z = 80.0 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(args.seed))
            with torch.no_grad():
                fake = average(z, torch.full((1000,), 80.0))  # one step from noise
            report = {"step": step + 1, "chamfer": chamfer(fake, real), "loss": loss.item()}
            with open(args.out / "reports.jsonl", "a") as file:
                file.write(json.dumps(report) + "\n")
        if told_to_stop or (step + 1) % 250 == 0:
            save(step + 1)
        if told_to_stop:
            return


if __name__ == "__main__":
    main()
