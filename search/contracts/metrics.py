import math

import torch
from torch import Tensor

from search.contracts._promise import Promise, good_options, need, plain_data
from trainable.metric.sample_metric import METRICS, SampleMetric


def drawn(num: int, num_features: int, seed: int, shift: float = 0.0) -> Tensor:
    """Normal features, float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, num_features, generator=generator, dtype=torch.float64) + shift


def better(metric: SampleMetric, one: float, other: float) -> bool:
    return one > other if metric.LARGER_IS_BETTER else one < other


def it_is_plain_data(name: str) -> None:
    good_options(METRICS[name])
    plain_data(METRICS, METRICS.build(name))


def real_ones_are_better_than_shifted_ones_and_those_than_a_point(name: str) -> None:
    metric, real_ND = METRICS.build(name), drawn(300, 4, seed=0)
    good = metric(real_ND, drawn(200, 4, seed=1))
    shifted = metric(real_ND, drawn(200, 4, seed=2, shift=1.5))
    far = metric(real_ND, torch.full((200, 4), 30.0))
    need(all(map(math.isfinite, (good, shifted, far))), f"finite features gave {good}, {shifted}, {far}")
    way = "larger" if metric.LARGER_IS_BETTER else "smaller"
    need(
        better(metric, good, shifted) and better(metric, shifted, far),
        f"{way} must be better, but real ones give {good:g}, shifted ones {shifted:g}, a point {far:g}",
    )


def the_order_of_images_and_the_float_type_do_not_matter(name: str) -> None:
    metric, real_ND, generated_GD = METRICS.build(name), drawn(80, 3, seed=3), drawn(60, 3, seed=4, shift=0.5)
    value = metric(real_ND, generated_GD)
    flipped = metric(real_ND.flip(0), generated_GD.flip(0))
    need(
        math.isclose(flipped, value, rel_tol=1e-9), f"in another order it is {flipped!r} instead of {value!r}"
    )
    single = metric(real_ND.float(), generated_GD.float())
    need(math.isclose(single, value, rel_tol=1e-4), f"of float32 it is {single!r} instead of {value!r}")


def samples_that_are_not_finite_get_the_worst_value(name: str) -> None:
    metric = METRICS.build(name)
    need(metric.worst == (0 if metric.LARGER_IS_BETTER else math.inf), "worst must be left as it is")
    for bad in (math.nan, math.inf):
        generated_GD = drawn(50, 3, seed=5)
        generated_GD[7, 1] = bad
        need(
            metric(drawn(50, 3, seed=6), generated_GD) == metric.worst,
            f"{bad} among the samples is not the worst",
        )


PROMISES: tuple[Promise, ...] = (
    it_is_plain_data,
    real_ones_are_better_than_shifted_ones_and_those_than_a_point,
    the_order_of_images_and_the_float_type_do_not_matter,
    samples_that_are_not_finite_get_the_worst_value,
)
