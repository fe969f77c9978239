"""`measures`: by what the samples of finalists and of the best preset are measured besides the objective."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from search.evidence.measures import Measure
from search.file.choices import choice
from search.file.model import Section
from search.file.values import checked_evaluations
from search.file.writing import plain
from spaces.registry import name_of
from trainable.dataset import Dataset
from trainable.extractor import EXTRACTORS, Extractor
from trainable.metric.sample_metric import METRICS, SampleMetric

_SECOND = ("frechet_distance", "kernel_distance", "coverage")  # on the data set's second feature network


class Judge(Section):
    """A feature network, and the metrics that are taken on it."""

    extractor: Annotated[Extractor, choice("extractor")]
    metrics: list[Annotated[SampleMetric, choice("metric")]] = Field(
        default_factory=lambda: [METRICS.build("frechet_distance")], min_length=1
    )


def _judges_alone(value: Any) -> Any:
    """A list is the judges, nothing below the key is the defaults."""
    return {"judges": value} if isinstance(value, list) else {} if value is None else value


class Measures(Section):
    """By what the samples of the confirmed models are measured when the search is over; an empty list: by nothing."""

    # None: what the data set names, and the pixels.
    judges: list[Judge] | None = None
    nfe: Annotated[list[int], AfterValidator(checked_evaluations)] = Field(
        default_factory=lambda: [1, 2], min_length=1
    )

    def at(self, num_evaluations: int) -> "Measures":
        """The same; where no numbers are named, at those of the objective besides: of a diffusion model at its own."""
        if num_evaluations == 1 or "nfe" in self.model_fields_set:
            return self
        return self.model_copy(update={"nfe": [num_evaluations]})

    @property
    def by_network(self) -> Mapping[str, Judge]:
        """The judges by the names of their feature networks."""
        return {name_of(judge.extractor): judge for judge in self.judges or ()}

    @property
    def measures(self) -> tuple[Measure, ...]:
        """All of them, as the leaderboard needs them."""
        return tuple(
            Measure(
                name=metric.name_on(name),
                metric=plain(metric),
                network=plain(judge.extractor),
                num_evaluations=num_evaluations,
                larger_is_better=metric.LARGER_IS_BETTER,
                by_ratio=metric.RATIO_SCALE,
            )
            for name, judge in self.by_network.items()
            for metric in judge.metrics
            for num_evaluations in self.nfe
        )


MeasuresField = Annotated[Measures, BeforeValidator(_judges_alone)]


def default_judges(data: Dataset, objective: Extractor, num_samples: int) -> list[Judge]:
    """The data set's second feature network, or its first where the objective has the second; and the pixels.

    objective: the feature network of the objective, or a pair: none of its parts is a judge. Where the data set names
    no second one, there are none: which are right for such images is not known, and pixels may take minutes.
    """
    own, kind = objective.parts, type(data)
    if kind.SECOND_EXTRACTOR is None:
        return []
    named = (kind.SECOND_EXTRACTOR, kind.EXTRACTOR)
    candidates = [EXTRACTORS.build(options) for options in named if options is not None]
    second = [extractor for extractor in candidates if name_of(extractor) not in own][:1]
    judges = [Judge(extractor=extractor, metrics=_metrics(_SECOND, num_samples)) for extractor in second]
    if "pixels" not in (*own, *map(name_of, second)):
        pixels = EXTRACTORS.build("pixels")
        judges.append(Judge(extractor=pixels, metrics=_metrics(_SECOND[:1], num_samples)))
    return judges


def _metrics(names: Sequence[str], num_samples: int) -> list[SampleMetric]:
    """Those that take so few samples."""
    metrics = [METRICS.build(name) for name in names]
    return [metric for metric in metrics if metric.least_images <= num_samples]
