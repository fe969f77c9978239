"""The words of docs/why-schedules-transfer.md, around its tables."""

INTRODUCTION = """# Why a schedule that wins in one network fails in another

A narrow noise law, as a search with `film_mlp` finds it, may be many times worse than `ict` in another network. This
page says why, by experiment, and what can be told from the law alone.

`OMP_NUM_THREADS=1 nice python -m bench why` made it: {num_runs} of {num_wanted} trainings on the digits,
{cpu_minutes:.0f} CPU-minutes on one core, kept in `bench/why/results.json`; the same again trains what is missing.
`--report` looks at the transfer table ([transfer.md](transfer.md)) again and writes the page. Training is that of
searches/digits.yaml at 2,000 steps, unless it says otherwise, but for the last {num_held_out} images, which are held
out. Most values are of one seed. Seeds of one schedule differ by a fifth and more: what can be read here are factors.

## The laws

`narrow` is among the best recorded of `film_mlp`. Two laws repair one end of it each, others mix in a uniform floor.
Shares of all draws of a training, by noise level:"""

LEVELS = """
## Error at each noise level

A consistency model gives the image back from any noise level. So, at each level sigma, every image x is disturbed and
taken back in one evaluation of the averaged network, f(x + sigma z, sigma). The table has the Frechet distance of
these images to the data (`digits_cnn`) at the end of the training. At 80 nothing is left of x: the last column is
that of samples.

`film_mlp, fast waves` has noise features of 2^-4 to 4 periods instead of 2^-7 to 2^-4; `mlp with a closing norm` is
`mlp` with one layer norm, without parameters, before its last layer. What is not there was not trained yet."""

UPWARD = """
## The boundary condition spreads upward

f(x, sigma_min) = x holds by construction. All else is learnt from the level below it, so low levels are right first,
and the high ones follow:"""

RUNAWAY = """
## Without a closing norm, a narrow law runs away

The target of a level is the network itself at the level below. Where most draws are of a few levels, and hardly any
of those between them and sigma_min, nothing ties these levels to the images, and the two sides of the loss may grow
together. In `mlp` they do, within the first 125 steps, and they never come back. Root mean squared difference between
f(x + sigma z, sigma) and x per value, of the held-out images, whose values lie in [-1, 1], at the end:"""

DRIFT = """
So it is the network that decides. With one layer norm before the last layer of the same `mlp`, the same law is
several times *better* than ict, as it is in `film_mlp`, which has such a norm: it bounds what the last layer gets,
and the loop cannot feed itself. Even there the low levels that narrow does not train are wrong: at .05 its error is
larger than .05, which is that of returning the disturbed image as it is. `small_unet` has a norm before its last
layer too, and narrow holds there. (Temporal-difference learning with function approximation is known to diverge in
this way where its draws are not those that its chain of targets makes: Tsitsiklis and Van Roy 1997, IEEE Transactions
on Automatic Control 42(5), 674-690. That it is the same here is our reading, not proven.)

## What a law never trains drifts

With a norm nothing runs away, but levels that are hardly ever drawn are only what the network makes of the others.
They follow their neighbours at first; then, as these go on learning, they drift, and the averaged weights with them.
Above 20, hang_gu_laplace has less than 1e-6 of its draws, narrow 2e-5:"""

FLOOR = """
Samples pass through a best value and then become three times worse and more, while the levels that the law draws change
less. At the end of 8,000 steps narrow is worse than ict at 80 and better at all lower levels of the table. How far a
network carries over what it has learnt is its own: `film_mlp` carries to 80 what it learnt at 1, for 2,000 steps, and
under hang_gu_laplace farther than `mlp with a closing norm`. That is not for its slow noise features: with fast waves
it does as well under both.

## How much floor is enough

Distance of samples (level 80) at the end. Two numbers are two seeds; `-`: not trained."""

RULE = """
In `mlp` no floor up to .2 rescues narrow, and neither does one end alone: most draws are as narrow as before. In the
networks that have a norm it needs no floor at 2,000 steps, and in `film_mlp` a floor costs a part of the gain. A
floor is no insurance against a law that is too narrow; a wider law is.

## A rule from the law alone

What was tried first is no rule: the least share of draws in any band of .5 in ln sigma, from .05 to 80. Of a schedule
that failed in `mlp` (more than twice the distance of ict) and one that held, the former has the smaller share in
{rarest} of the pairs, where .50 is chance. Presets that next to never draw the highest band do well there; narrow
with a floor of .2 has draws in every band and fails.

What tells them apart is how the law lies about the scale of the data: the share of all draws **below .6 sigma_data**
(.3 here), and that **above 2 sigma_data** (1 here). The smaller of the two orders {thinner} of the pairs rightly. The
rule: a schedule with **less than 5 %** of its draws at either end may fail (`spaces/thin_ends.py`). Levels and
threshold were chosen on the first {num_seen} schedules trained in `mlp`, where they are right for each: that line is
no test. The others are, though some of the schedules in the second line are much like some of the first. Brackets are
95 % intervals (Clopper and Pearson)."""

MISSED = """
What failed without a warning:"""

ELSEWHERE = """
So the rule says what fails in a network without a norm before its last layer. In networks that have one it warns of
schedules that hold there, or win: a warning is no verdict but what to try in the network that is meant, with `python
-m search hold`. It is silent about what fails for other reasons, such as too few levels, and it was measured on one
data set with one loss. Laws that adapt in training are not judged.

Who is told: the leaderboard has a line where the winner is such a schedule, `run --dry-run` where a preset is,
`export` prints a warning, every exported file carries it, and `load_schedule(...).warnings` has it.

## What a search does about it

`space.ends` in a search file lets only laws be proposed that have a share of their draws at each end; in
searches/digits.yaml a tenth. It costs little: of the 625 schedules that are recorded for `film_mlp`
(`search/simulator/curves`), the best with a tenth at each end comes to 7.8, the best of all to 7.0, ict to 26. What it
does to the winners of cheap settings stands in [transfer.md](transfer.md#a-least-share-at-both-ends). It is no
guarantee: a schedule with 22 % and 59 % at its ends is good in the networks without convolutions and eight times as bad
as ict in a U-Net of 16, 32 channels. So `holds_at` tries the winner in other settings before it is called one."""
