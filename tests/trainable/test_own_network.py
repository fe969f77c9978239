"""A network of the user's own in the training loop: its state, its random numbers, and the rules that it may break."""

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from search.machine.checkout import ROOT
from spaces import PRESETS
from trainable.network import NETWORKS, Network
from trainable.optimizer_strategy import OPTIMIZER_STRATEGIES
from trainable.training.config import TrainingConfig
from trainable.training.network_probe import check_network
from trainable.training.trainer import Trainer

SHAPE = (1, 8, 8)
CONFIG = TrainingConfig(total_steps=6, batch_size=8)
# Dropout as a layer and as a function, a buffer that changes and one that is drawn, a weight that is not trained.
GOOD = """
import torch
from torch import nn
from torch.nn import functional as F

PASSES = []


class MyNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("freqs", torch.randn(8), persistent=False)
        self.fixed = nn.Parameter(torch.randn(width), requires_grad=False)
        self.a = nn.Conv2d(1, width, 3, padding=1)
        self.e = nn.Linear(8, width)
        self.norm = nn.GroupNorm(4, width)
        self.drop = nn.Dropout(0.3)
        self.b = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x, c):
        if self.training and torch.is_grad_enabled():
            self.count += 1
        h = self.a(x) + (self.fixed + self.e((c[:, None] * self.freqs).sin()))[:, :, None, None]
        h = F.dropout(self.drop(F.silu(self.norm(h))), 0.2, self.training)
        seen = {"grad": torch.is_grad_enabled(), "training": self.training, "mask": h.detach() == 0}
        PASSES.append({**seen, "count": int(self.count), "freqs": self.freqs.clone(), "fixed": self.fixed.clone()})
        return self.b(h)
"""


def own(folder: Path, text: str = GOOD, **options: Any) -> Network:
    file = folder / "my_net.py"
    file.write_text(text)
    return NETWORKS.build({"name": "own", "file": str(file), "class": "MyNet", **options})


def trainer(network: Network, seed: int = 0, **changes: Any) -> Trainer:
    images = torch.rand((32, *SHAPE), generator=torch.Generator().manual_seed(3)) * 2 - 1
    made = Trainer(network, images, TrainingConfig(**{"total_steps": 6, "batch_size": 8, **changes}))
    made.begin(PRESETS["ict"].schedule, seed)
    return made


def same(one: Trainer, other: Trainer) -> bool:
    mine, theirs = one.state_dict()[0], other.state_dict()[0]
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def passes(network: Network) -> list[dict[str, Any]]:
    """What the network has written down of its passes; none are left."""
    assert network.code is not None
    module = sys.modules[f"network_of_{network.code.sha256[:16]}"]
    found, module.PASSES[:] = list(module.PASSES), []
    return found


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer_strategy": OPTIMIZER_STRATEGIES.build("gradient_noise_scale")}, {"precision": "bf16"}],
)
def test_student_and_teacher_draw_the_same_mask_and_each_step_another(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    network = own(tmp_path)
    made = trainer(network, **options)
    passes(network)
    made.train(2)
    found = passes(network)
    teachers = [each["mask"] for each in found if not each["grad"]]
    students = [each["mask"] for each in found if each["grad"]]
    assert len(teachers) == len(students) == (4 if "optimizer_strategy" in options else 2)
    for teacher, student in zip(teachers, students, strict=True):
        assert torch.equal(teacher, student)
        assert 0.3 < student.float().mean() < 0.6  # 1 - .7 * .8 = .44, of 512 or more: 5 sigma
    assert not torch.equal(students[0], students[1])


def test_parts_of_a_batch_draw_masks_of_their_own(tmp_path: Path) -> None:
    network = own(tmp_path)
    made = trainer(network)
    made.begin(PRESETS["ict"].schedule, 0, micro_batch=4)
    passes(network)
    made.train(1)
    found = passes(network)
    first, second = ([each["mask"] for each in found if each["grad"] is grad] for grad in (False, True))
    assert [torch.equal(a, b) for a, b in zip(first, second, strict=True)] == [True, True]
    assert not torch.equal(second[0], second[1])


def test_a_trial_follows_from_its_seed_and_touches_nobody_elses_random_numbers(tmp_path: Path) -> None:
    torch.default_generator.manual_seed(1)
    before = torch.get_rng_state()
    one = trainer(own(tmp_path))
    one.train(6)
    samples = one.sample(4, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.default_generator.manual_seed(2)
    again, other = trainer(own(tmp_path)), trainer(own(tmp_path), seed=1)
    again.train(6)
    assert same(one, again) and torch.equal(again.sample(4, seed=0), samples)
    assert not same(one, other)


def test_an_interrupted_trial_goes_on_exactly_with_the_whole_state_dict(tmp_path: Path) -> None:
    through, broken = trainer(own(tmp_path)), trainer(own(tmp_path))
    through.train(6)
    broken.train(3)
    tensors, scalars = broken.state_dict()
    assert int(tensors["buffer.own.count"]) == 3
    assert sum(name.startswith("buffer.") for name in tensors) == 1
    resumed = trainer(own(tmp_path))
    resumed.train(1)  # whatever it did before
    resumed.begin(PRESETS["ict"].schedule, 0)
    resumed.load_state_dict(tensors, scalars)
    resumed.train(6)
    assert same(resumed, through)
    assert torch.equal(resumed.sample(4, seed=0), through.sample(4, seed=0))


def test_samples_are_of_the_average_in_evaluation_mode_with_the_buffers_of_now(tmp_path: Path) -> None:
    network = own(tmp_path)
    made = trainer(network)
    made.train(1)
    first = passes(network)[-1]
    made.train(4)
    last = passes(network)[-1]
    made.sample(4, seed=0)
    (sampled,) = passes(network)
    assert (sampled["training"], bool(sampled["mask"].any())) == (False, False)
    assert (last["count"], sampled["count"]) == (4, 4)
    for name in ("freqs", "fixed"):  # drawn with the first weights, and not trained
        assert torch.equal(sampled[name], first[name]) and torch.equal(last[name], first[name])


def test_another_file_is_another_network_to_a_checkpoint_wherever_it_lies(tmp_path: Path) -> None:
    kept = trainer(own(tmp_path)).state_dict()
    (tmp_path / "elsewhere").mkdir()
    trainer(own(tmp_path / "elsewhere")).load_state_dict(*kept)
    with pytest.raises(ValueError, match="is of another trial: its setting"):
        trainer(own(tmp_path, f"{GOOD}\n# edited")).load_state_dict(*kept)


def test_it_goes_to_other_processes_as_it_was_read(tmp_path: Path) -> None:
    network = own(tmp_path)
    assert network.code is not None
    sha256 = network.code.sha256
    (tmp_path / "my_net.py").unlink()
    there = pickle.loads(pickle.dumps(network))
    assert there == network and there.code.sha256 == sha256
    there.build(SHAPE)


def test_sigma_is_given_where_it_is_asked_for(tmp_path: Path) -> None:
    text = GOOD.replace("return self.b(h)", "PASSES[-1]['second'] = c\n        return self.b(h)")
    c_noise_B = torch.tensor([0.002, 0.5, 80.0]).log() / 4
    network = own(tmp_path, text, takes="sigma")
    network.build(SHAPE)(torch.zeros(3, *SHAPE), c_noise_B)
    (seen,) = (each["second"] for each in passes(network))
    torch.testing.assert_close(seen, torch.tensor([0.002, 0.5, 80.0]), rtol=1e-5, atol=0)


def test_the_checks_take_a_good_one_and_all_of_ours(tmp_path: Path) -> None:
    check_network(own(tmp_path, options={"width": 12}), SHAPE, CONFIG)
    check_network(own(tmp_path, takes="sigma"), SHAPE, CONFIG)
    for name in NETWORKS:
        if name not in ("own", "diffusers_unet"):  # which needs an extra
            check_network(NETWORKS.build(name), SHAPE, CONFIG)
    for name in ("PlainConvolutions", "PatchTransformer"):
        file = ROOT / "bench/quality/held_out_networks.py"
        check_network(NETWORKS.build({"name": "own", "file": str(file), "class": name}), SHAPE, CONFIG)


BROKEN = [
    ("self.drop = nn.Dropout(0.3)", "self.drop = nn.BatchNorm2d(width)", "has batch norm (drop), by which"),
    ("return self.b(h)", "return self.b(h).flatten(1)", "torch.float32 of (4, 64)"),
    ("return self.b(h)", "return self.b(h), h", "must give one tensor, but forward(x, c_noise)"),
    ("return self.b(h)", "return self.b(h) / 0", "gave NaN or infinity with its first weights"),
    ("return self.b(h)", "return self.b(h.detach()).detach()", "gave what no weight is a part of"),
    ("return self.b(h)", "return self.b(h - h.mean(0))", "another result in a batch than alone"),
    (
        "return self.b(h)",
        "import random\n        return self.b(h) + random.random()",
        "is not deterministic on the CPU: with one seed",
    ),
    (
        "return self.b(h)",
        "self.last = 0.9 * getattr(self, 'last', 1.0)\n        return self.b(h) * self.last",
        "is not deterministic on the CPU",
    ),
    (
        "self.count += 1",
        "self.freqs *= 0.99",
        "goes on otherwise after an interruption: it changes in training by more than",
    ),
    (
        "torch.randn(width)",
        "torch.from_numpy(__import__('numpy').random.rand(width)).float()",
        "begins with other weights",
    ),
    ("nn.Linear(8, width)", "nn.LazyLinear(width)", "has a lazy layer, whose weight e."),
    (
        "self.b = nn.Conv2d(width, 1, 3, padding=1)",
        "self.b = nn.Conv2d(width, 1, 3).double()",
        "has torch.float64 for b",
    ),
    (
        "self.a(x) +",
        "self.a(x.flatten(1)) +",
        "fails in forward(x, c_noise) of (4, 1, 8, 8) and (4,): my_net.py:24: Runtime",
    ),
    ("class MyNet(nn.Module)", "class MyNet(nn.Module, 3)", "network: my_net.py:9: TypeError"),
    ("class MyNet(nn.Module)", "class MyNet", "MyNet in my_net.py is no torch.nn.Module"),
    ("class MyNet(nn.Module)", "class YourNet(nn.Module)", "my_net.py has no class 'MyNet'. It has: YourNet"),
    (
        "import torch\n",
        "import torch\nimport no_such_thing\n",
        "my_net.py:3: ModuleNotFoundError: No module named",
    ),
    ("super().__init__()", "super().__init__(", "network: my_net.py:11: SyntaxError: '(' was never closed"),
    (
        "return self.b(h)",
        "assert len(x) > 1\n        return self.b(h)",
        "fails when its first steps are tried: my_net.py:",
    ),
    ("import torch\n", "import torch\nimport sys\nsys.exit(0)\n", "network: my_net.py:4: SystemExit: 0"),
    (
        "super().__init__()",
        "raise RuntimeError('so')",
        "my_net.py:11: RuntimeError: so, when MyNet() was made",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), BROKEN)
def test_a_rule_that_it_breaks_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    before = torch.get_rng_state()
    with pytest.raises(ValueError) as raised:
        check_network(own(tmp_path, GOOD.replace(old, new, 1)), SHAPE, CONFIG)
    assert str(raised.value).startswith("network: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_cannot_be_made_or_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"TypeError: .*'depth', when MyNet\(depth=3\) was made"):
        check_network(own(tmp_path, options={"depth": 3}), SHAPE, CONFIG)
    with pytest.raises(ValueError, match="has no parameters to train"):
        check_network(
            own(tmp_path, "from torch import nn\n\n\nclass MyNet(nn.Module):\n    pass\n"), SHAPE, CONFIG
        )
    network = own(tmp_path)
    (tmp_path / "my_net.py").unlink()
    with pytest.raises(ValueError, match=r"my_net.py cannot be read: No such file"):
        network.check()
    with pytest.raises(ValueError, match="`class` must be as Python names things, but got 'my-net'"):
        NETWORKS.build({"name": "own", "file": "x.py", "class": "my-net"})
