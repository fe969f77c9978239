"""What the sections of a search file must be to one another: place and message of each rule that is broken."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from search.evidence.race import RaceRules
from search.file.holds import AnySetting, Appended, HoldsAt, SettingSpec, with_words
from search.file.measures import Measures
from search.file.sections import Budget, Confirm, NoiseFloor, Objective, Resources, Sampling, Storage
from search.file.values import same_database
from search.file.yaml_walk import Place
from search.stopping_rule import StoppingRule
from spaces import NoiseSchedule, SearchSpace
from spaces.checks import check_values
from spaces.registry import name_of
from trainable.dataset import Dataset
from trainable.extractor import Extractor
from trainable.trainers.command import Command
from trainable.training.config import TrainingConfig

Broken = Iterator[tuple[Place, str]]


def rungs_are_apart(stopping: StoppingRule, training: TrainingConfig) -> Broken:
    total_steps = training.total_steps
    steps = stopping.steps(total_steps)
    if any(before >= after for before, after in itertools.pairwise((0, *steps))):
        yield (
            ("stopping", "rungs"),
            f"must be apart, but of training.total_steps={total_steps} they are the steps "
            f"{', '.join(map(str, steps))} (the last is the full budget). Leave out rungs or train longer",
        )


def extractor_suits_the_data(objective: Objective, data: Dataset) -> Broken:
    if objective.extractor is not None:
        yield from _suits(("objective", "extractor"), objective.extractor, data)


def _suits(place: Place, extractor: Extractor, data: Dataset) -> Broken:
    name = name_of(data)
    if extractor.DATA not in (None, name):
        yield (
            place,
            f"must suit the data set {name}, but {name_of(extractor)} is for {extractor.DATA} alone. Leave it out, "
            "or take small_cnn (any labelled data set) or pixels (any)",
        )


def judges_suit_the_data(measures: Measures, data: Dataset, objective: Objective) -> Broken:
    """Each feature network once and for this data set, each metric on it once and with samples enough."""
    names = [name_of(judge.extractor) for judge in measures.judges or ()]
    for index, judge in enumerate(measures.judges or ()):
        place: Place = ("measures", "judges", index)
        yield from _suits((*place, "extractor"), judge.extractor, data)
        if names[index] in names[:index]:
            yield (*place, "extractor"), f"must be given once, but {names[index]} is given twice"
        metrics = [metric.describe() for metric in judge.metrics]
        for nth, metric in enumerate(judge.metrics):
            if metrics[nth] in metrics[:nth]:
                yield (*place, "metrics", nth), f"must be given once, but {metrics[nth]} is given twice"
            elif metric.least_images > objective.num_samples:
                yield (
                    (*place, "metrics", nth),
                    f"must be one for objective.num_samples={objective.num_samples}, but {metrics[nth]} needs at least "
                    f"{metric.least_images} images",
                )


def presets_are_sampled_alike(baselines: Mapping[str, NoiseSchedule], num_evaluations: int) -> Broken:
    """Values with other numbers of network evaluations are not compared."""
    for index, (name, schedule) in enumerate(baselines.items()):
        found = schedule.loss.num_evaluations
        if found != num_evaluations:
            yield (
                ("presets", index),
                f"must be sampled as the schedules of the space are, in {num_evaluations} network "
                f"evaluation{'s' if num_evaluations > 1 else ''}, but {name} takes {found}. Leave it out",
            )


def sampling_starts_where_is_trained(
    sampling: Sampling, space: SearchSpace, baselines: Mapping[str, NoiseSchedule]
) -> Broken:
    start = sampling.sigma_start
    if start is None:
        return
    grids = [("the space", family.cls(**options)) for family in space.grid for options in family.corners()]
    for what, grid in (*grids, *((name, schedule.grid) for name, schedule in baselines.items())):
        if not grid.sigma_min < start <= grid.sigma_max:
            yield (
                ("sampling", "sigma_start"),
                f"must be a level that is trained, but got {start:g}, and {what} has {grid.sigma_min:g} to "
                f"{grid.sigma_max:g}",
            )
            return


def evaluations_are_those_of_the_sampler(
    measures: Measures, sampling: Sampling, space: SearchSpace
) -> Broken:
    """A diffusion model has no consistency sampling, and Heun's method an odd number of evaluations."""
    if not space.denoises:
        return
    if sampling.nfe:
        yield (
            ("sampling", "nfe"),
            "has no meaning with the loss denoising, whose levels are those of Heun's method. Leave it out",
        )
    for index, number in enumerate(measures.nfe):
        if number % 2 == 0:
            yield (
                ("measures", "nfe", index),
                f"must be odd with the loss denoising, as 2 n - 1 of n steps of Heun's method, but got {number}",
            )


def exports_hold_every_schedule(
    space: SearchSpace, baselines: Mapping[str, NoiseSchedule], training: TrainingConfig
) -> Broken:
    """What a search finds must fit into an export; that is told before it is trained, not after."""
    for curriculum, message in space.too_large(training.total_steps):
        yield ("space", "curriculum", curriculum), message
    for index, schedule in enumerate(baselines.values()):
        try:
            check_values(schedule.curriculum, training.total_steps, in_pairs=bool(schedule.unusual))
        except ValueError as error:
            yield ("presets", index), str(error)


def budget_ends_the_search(budget: Budget, resources: Resources) -> Broken:
    if budget.max_trials is None and not budget.is_timed:
        yield (
            ("budget", "max_trials"),
            "must be a number unless max_hours, max_cpu_hours or max_gpu_hours ends the search, but got null",
        )
    if budget.max_cpu_hours is not None and resources.cpu == 0:
        yield ("budget", "max_cpu_hours"), "would have no effect with resources.cpu=0. Leave it out"
    if budget.max_gpu_hours is not None and resources.gpu == 0:
        yield ("budget", "max_gpu_hours"), "would have no effect with resources.gpu=0. Leave it out"


def budget_holds_presets_and_finalists(budget: Budget, num_presets: int, confirm: Confirm) -> Broken:
    if budget.max_trials is None:
        return
    if num_presets > budget.max_trials:
        yield (
            ("presets",),
            f"must fit into budget.max_trials={budget.max_trials}, but are {num_presets}. "
            "Raise the one or shorten the other",
        )
    if confirm.top > budget.max_trials:
        yield (
            ("confirm", "top"),
            f"must be <= budget.max_trials={budget.max_trials}, but got {confirm.top}. "
            "There are no more trials to confirm",
        )


def race_has_runners_and_a_first_round(confirm: Confirm) -> Broken:
    rules = confirm.rules
    if rules is None:
        yield from _options_without_a_race(confirm)
    elif rules.max_trials is not None and rules.max_trials < rules.first_trials:
        yield ("confirm", "max_trials"), _too_few_for_the_first_round(rules)


def _options_without_a_race(confirm: Confirm) -> Broken:
    for option in ("rounds", "max_trials"):
        if option in confirm.model_fields_set:
            message = "would have no effect with confirm.top=0 and confirm.baselines=0. Leave it out"
            yield ("confirm", option), message


def _too_few_for_the_first_round(rules: RaceRules) -> str:
    return (
        f"must be >= {rules.first_trials}, (top + baselines) times the seeds of the first round, but got "
        f"{rules.max_trials}: nothing would be confirmed. Raise it or lower the others"
    )


def noise_is_measured_where_it_is_used(
    noise_floor: NoiseFloor, stopping: StoppingRule, num_presets: int
) -> Broken:
    if stopping.USES_NOISE and not (num_presets and noise_floor.seeds):
        yield (
            ("stopping", "name"),
            f"{name_of(stopping)!r} needs the noise between seeds, which is measured on a preset: name one in "
            "`presets` and let noise_floor.seeds be > 0",
        )
    # The default says nothing about presets: a file that writes it out is the same search.
    if not num_presets and noise_floor.seeds not in (0, NoiseFloor().seeds):
        yield ("noise_floor", "seeds"), "would have no effect without presets. Name one or leave it out"


def settings_are_elsewhere(settings: Sequence[AnySetting], own: AnySetting) -> Broken:
    for index, setting in enumerate(settings):
        place: Place = ("holds_at", "settings", index)
        if setting.is_like(own):
            yield place, "must be other than the search's own setting, but is the same. Leave it out"
        elif any(setting.is_like(other) for other in settings[:index]):
            yield place, f"must be given once, but {setting.name} is given twice"
        elif any(setting.name == other.name for other in settings[:index]):
            yield (
                place,
                f"must differ from the others in more than where files lie, but {setting.name} is given twice. Ask for "
                "one of them in a search of another `name`",
            )


def settings_suit_the_features(settings: Sequence[SettingSpec]) -> Broken:
    for index, setting in enumerate(settings):
        if setting.extractor.DATA not in (None, name_of(setting.data)):
            yield (
                ("holds_at", "settings", index, "data"),
                f"must suit the features of the search, but {name_of(setting.extractor)} is for "
                f"{setting.extractor.DATA} alone. Leave it out, or name another objective.extractor",
            )


def settings_have_what_is_compared(holds_at: HoldsAt, num_presets: int, confirm: Confirm) -> Broken:
    options = holds_at.model_fields_set - {"settings"}
    if options and not holds_at.settings:
        yield ("holds_at", min(options)), "would have no effect without `settings`. Name one or leave it out"
    if 0 < holds_at.shortlist <= confirm.top:
        yield (
            ("holds_at", "shortlist"),
            f"must be > confirm.top={confirm.top}, of so many are to be chosen, but got {holds_at.shortlist}. Raise "
            "it, or leave it out",
        )
    if holds_at.settings and not (num_presets and confirm.top and confirm.baselines):
        yield (
            ("holds_at",),
            "compares confirmed trials with the best preset, but nothing of one kind is confirmed. Name a preset in "
            "`presets`, and let confirm.top and confirm.baselines be > 0, or leave it out",
        )


def settings_hold_every_rung(settings: Sequence[AnySetting], stopping: StoppingRule) -> Broken:
    for index, setting in enumerate(settings):
        for _, message in rungs_are_apart(stopping, setting.training):
            yield ("holds_at", "settings", index, "training", "total_steps"), f"stopping.rungs {message}"


def settings_suit_the_trainer(holds_at: HoldsAt, script: Command | None) -> Broken:
    """A script has more words in its command where our training has another network or other data."""
    for index, setting in enumerate(holds_at.settings):
        place: Place = ("holds_at", "settings", index)
        if script is None:
            if setting.command is not None:
                yield (*place, "command"), "has no meaning where no script trains (trainer.name=command)"
            continue
        for part in ("network", "data"):
            if getattr(setting, part) is not None:
                yield (
                    (*place, part),
                    "has no meaning where a script trains. Give its command more words: command: {append: [...]}",
                )
        for option in sorted((setting.training or {}).keys() - {"total_steps"}):
            yield (*place, "training", option), "has no meaning where a script trains. Leave it out"
        yield from _words_that_cannot_be((*place, "command", "append"), script, setting.command)


def _words_that_cannot_be(place: Place, script: Command, more: Appended | None) -> Broken:
    try:
        with_words(script, more)
    except ValueError as error:
        yield place, str(error)


def script_has_what_it_needs(resources: Resources) -> Broken:
    if resources.micro_batch is not None:
        yield ("resources", "micro_batch"), "has no meaning where a script trains. Leave it out"
    if resources.stack != 1:
        yield ("resources", "stack"), "has no meaning where a script trains. Leave it out"


def script_gets_fixed_schedules(space: SearchSpace, baselines: Mapping[str, NoiseSchedule]) -> Broken:
    """A schedule that adapts in training learns from the losses of our own training."""
    reason = "adapts in training, which a script is not part of. Leave it out"
    for family in space.noise:
        if family.cls.ADAPTIVE:
            yield ("space", "noise", family.prefix), reason
    for weight in space.weight:
        if weight.cls.LEARNED:
            yield ("space", "weight", weight.name), reason
    for index, (name, schedule) in enumerate(baselines.items()):
        if schedule.adapts:
            yield ("presets", index), f"{name} {reason}"


def trials_run_on_something(resources: Resources, training: TrainingConfig) -> Broken:
    if resources.cpu == 0 and resources.gpu == 0:
        yield ("resources", "cpu"), "must be > 0 when gpu is 0, but got 0: a trial runs on something"
    if resources.stack == "auto" and resources.gpu:
        yield (
            ("resources", "stack"),
            "must be a number where trials run on a GPU, which nothing is timed on before the search, but got "
            "'auto'. Run: python -m bench gpu",
        )
    micro_batch, batch_size = resources.micro_batch, training.batch_size
    if micro_batch is not None and micro_batch > batch_size:
        yield (
            ("resources", "micro_batch"),
            f"must be <= training.batch_size={batch_size}, but got {micro_batch}. Leave it out",
        )


def databases_are_two(storage: Storage, study_url: str, mlflow_uri: str) -> Broken:
    """study_url, mlflow_uri: what `storage` comes to on this machine."""
    if same_database(study_url, mlflow_uri):
        yield (
            ("storage", "mlflow_uri" if storage.mlflow_uri else "study_url"),
            "study_url and mlflow_uri must be two databases, but are one: Optuna and MLflow break each other's "
            "tables there. Leave one out or name another database",
        )
