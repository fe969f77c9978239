"""What a trial with an adaptive noise family learns about its losses, and the schedule that follows from it.

Plain tensors on the CPU; only the sums of the current window are the training step's. Everything here is a pure
function of the losses seen, so that an interrupted trial goes on exactly.
Axes: M intervals, J bins of the normalised index, S numbers of the family's state.
"""

from dataclasses import replace

from torch import Tensor

from spaces import NoiseSchedule, Stage
from spaces.adaptive_noise import AdaptiveNoise, LossMoments


class Adaptation:
    """The schedule of one trial as it changes. `schedule.noise` must be adaptive."""

    def __init__(self, schedule: NoiseSchedule, noise: AdaptiveNoise):
        self._given, self._noise = schedule, noise
        self._moments = LossMoments.none(noise.num_bins)
        self._state_S = noise.start()
        # Noise levels between whose ends the family moves: any stage's would do.
        self._sigma_N = schedule.grid.sigmas(2)

    @property
    def every(self) -> int:
        """Steps between two looks at the losses."""
        return self._noise.every

    @property
    def schedule(self) -> NoiseSchedule:
        """The schedule in force, with fixed probabilities: it can be used without this trial."""
        return replace(self._given, noise=self._noise.found(self._state_S, self._sigma_N))

    def look(self, stage: Stage, sums_M2: Tensor, loss_weight_M: Tensor | None) -> None:
        """Take in a window: per interval of `stage`, draws and squared losses as weighted by loss_weight_M.

        Losses that are not finite leave everything as it is: the trial has diverged.
        """
        count_M, squares_M = sums_M2.unbind(1)
        if loss_weight_M is not None:
            squares_M = squares_M / loss_weight_M**2
        moments = self._moments.updated(count_M, squares_M, self._noise.history)
        if not bool(moments.second_moment_J.isfinite().all()):
            return
        self._moments = moments
        if bool((moments.count_J >= self._noise.history).all()):
            self._state_S = self._noise.adapted(self._state_S, moments.second_moment_J, stage.sigma_N)

    def saved(self) -> dict[str, Tensor]:
        """What decides the rest of the trial, besides the window: to be copied, and copied into to go on."""
        return {
            "adaptive_count_J": self._moments.count_J,
            "adaptive_second_moment_J": self._moments.second_moment_J,
            "adaptive_state_S": self._state_S,
        }
