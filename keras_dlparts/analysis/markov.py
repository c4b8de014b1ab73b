"""Finite Markov chains, and Gibbs sampling seen as one.

    P_ij = the chance to go from state i to state j      rows sum to 1
    counted from sequences: P_ij = (c_ij + prior) / sum over j of (c_ij + prior)
    pi = pi P                                            the stationary distribution
    d(t) = max over i of sum_j |(P^t)_ij - pi_j| / 2     how far from it, after t steps

One Gibbs step of a machine goes from v to v' with the chance sum over h of p(h given v)
p(v' given h); its stationary distribution is the machine's own p(v).
Grassmann, Taksar & Heyman 1985, "Regenerative analysis and steady state distributions
for Markov chains": an elimination without a subtraction, exact to the last digits.
Levin, Peres & Wilmer 2009, "Markov chains and mixing times".
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_dlparts.layers import RBM
from keras_dlparts.layers.energy.rows import states
from keras_dlparts.support.checks import check_count, check_number

_SUMS = 1e-6  # how far from 1 the sum of a row may be, so that float32's will do
_LONGEST = 2**40  # steps until mixing
_MOST_UNITS = 12  # visible ones, of which all states are counted


class MarkovChain:
    """A Markov chain of a finite number of states.

    Args:
        transitions: Array `(n, n)`: the chance to go from state i to state j. Rows are
            divided by their sums, which must be 1 up to 1e-6.
        states: Optional sequence of n names of the states; 0 to n - 1 by default.

    Attributes:
        transitions: Array `(n, n)` of float64.
        states: List of the states' names.

    Example:

    >>> weather = MarkovChain([[0.9, 0.1], [0.5, 0.5]], states=["dry", "wet"])
    >>> weather.stationary().round(4)
    array([0.8333, 0.1667])
    >>> weather.mixing_time(0.01)
    5
    """

    def __init__(self, transitions: Any, states: Sequence | None = None):
        P = np.array(transitions, "float64")
        if P.ndim != 2 or P.shape[0] != P.shape[1] or not P.size:
            raise ValueError(
                "`transitions` must be a square matrix, a row and a column a state. "
                f"Received: shape {P.shape}"
            )
        sums = P.sum(axis=1)
        if not (np.isfinite(P).all() and P.min() >= 0):
            raise ValueError(
                "`transitions` must be chances, which are not negative. "
                f"Received: {P.min():.6g} to {P.max():.6g}"
            )
        worst = int(np.argmax(np.abs(sums - 1)))
        if abs(sums[worst] - 1) > _SUMS:
            raise ValueError(
                "Each row of `transitions` must sum to 1: a chain goes somewhere from "
                f"every state. Received: row {worst} with the sum {sums[worst]:.6g}"
            )
        self.transitions = P / sums[:, None]
        self.states = [*range(len(P))] if states is None else [*states]
        if len({*self.states}) != len(P) or len(self.states) != len(P):
            raise ValueError(
                f"`states` must be {len(P)} different names, one a row of "
                f"`transitions`. Received: {self.states}"
            )

    @classmethod
    def from_sequences(
        cls, sequences: Any, states: Sequence | None = None, prior: float = 0.0
    ) -> "MarkovChain":
        """Count how often each state follows each other one.

        Args:
            sequences: A list of sequences of states, such as texts or arrays. Nothing
                is counted from the end of one to the beginning of the next.
            states: All states there are; by default those that occur, sorted.
            prior: Float, `>= 0`. Added to every count, so that what was not seen has a
                chance too.

        >>> MarkovChain.from_sequences(["abab", "aab"]).transitions.round(2)
        array([[0.25, 0.75],
               [1.  , 0.  ]])
        """
        check_number("prior", prior, least=0)
        if isinstance(sequences, str):
            raise TypeError(
                "`sequences` must be a list of sequences. "
                f"Received: the text {sequences[:20]!r}. Put it in a list"
            )
        sequences = [
            each.tolist() if hasattr(each, "tolist") else [*each] for each in sequences
        ]
        seen = {state for each in sequences for state in each}
        states = sorted(seen) if states is None else [*states]
        unknown = seen - {*states}
        if unknown:
            raise ValueError(
                "`states` must name every state that occurs. Received: sequences with "
                f"{sorted(unknown)[:5]} besides"
            )
        place = {state: i for i, state in enumerate(states)}
        counts = np.full((len(states), len(states)), float(prior))
        for each in sequences:
            rows = [place[state] for state in each]
            np.add.at(counts, (rows[:-1], rows[1:]), 1)
        left = counts.sum(axis=1)
        if not left.all():
            never = [s for s, total in zip(states, left, strict=True) if not total]
            raise ValueError(
                "Some states are never left in the sequences, so that nothing says "
                f"where they lead. Received: {never[:5]}. Give a `prior` greater than 0"
            )
        return cls(counts / left[:, None], states)

    def classes(self) -> list[list[int]]:
        """The closed classes: sets of states that reach each other and nothing else."""
        reach = np.eye(len(self.transitions)) + self.transitions > 0
        while True:
            further = reach @ reach
            if (further == reach).all():
                break
            reach = further
        mutual = reach & reach.T
        closed = {
            tuple(np.flatnonzero(row).tolist())
            for row, onward in zip(mutual, reach, strict=True)
            if (row == onward).all()
        }
        return [[*each] for each in sorted(closed)]

    def period(self) -> int:
        """The greatest common divisor of the lengths of all ways back to a state.

        Of the states that the chain ends up in; with a period of 2 or more it never
        forgets where it began.
        """
        members = self._recurrent()
        P = self.transitions[np.ix_(members, members)] > 0
        level = np.full(len(P), -1)
        level[0], waiting, period = 0, [0], 0
        while waiting:  # a walk in breadth; each edge closes a way of some length
            i = waiting.pop(0)
            for j in np.flatnonzero(P[i]):
                if level[j] < 0:
                    level[j] = level[i] + 1
                    waiting.append(j)
                period = np.gcd(period, level[i] + 1 - level[j])
        return int(period)

    def stationary(self) -> np.ndarray:
        """pi = pi P, shape `(n,)`. Raises where there is more than one."""
        members = self._recurrent()
        A = self.transitions[np.ix_(members, members)].copy()
        for k in range(len(A) - 1, 0, -1):
            A[:k, k] /= A[k, :k].sum()
            A[:k, :k] += np.outer(A[:k, k], A[k, :k])
        found = np.ones(len(A))
        for k in range(1, len(A)):
            found[k] = found[:k] @ A[:k, k]
        pi = np.zeros(len(self.transitions))
        pi[members] = found / found.sum()
        return pi

    def distance(self, steps: int) -> float:
        """d(t): the largest distance in total variation to pi after so many steps."""
        check_count("steps", steps, 0)
        power = np.linalg.matrix_power(self.transitions, steps)
        return _distance(power, self.stationary())

    def mixing_time(self, distance: float = 0.25) -> int:
        """The first t with d(t) <= `distance`, from whatever state the chain begins.

        Args:
            distance: Float between 0 and 1, in total variation.
        """
        check_number("distance", distance, above=0, below=1)
        if self.period() > 1:
            raise ValueError(
                "The chain goes round in turns and never forgets where it began, so it "
                f"has no mixing time. Received: a chain of period {self.period()}"
            )
        pi = self.stationary()
        powers = [self.transitions]  # of 1, 2, 4, ... steps
        while _distance(powers[-1], pi) > distance:
            if 2 ** len(powers) > _LONGEST:
                raise ValueError(
                    "The chain does not mix within 2**40 steps, or rounding hides it. "
                    f"Received: distance={distance}"
                )
            powers.append(powers[-1] @ powers[-1])
        if len(powers) == 1:
            return int(_distance(np.eye(len(pi)), pi) > distance)
        t, reached = 0, np.eye(len(pi))
        for k in range(len(powers) - 2, -1, -1):  # the longest walk that is too short
            further = reached @ powers[k]
            if _distance(further, pi) > distance:
                t, reached = t + 2**k, further
        return t + 1

    def sample(
        self, steps: int, chains: int = 1, start: Any = None, seed: int | None = None
    ) -> np.ndarray:
        """Walks of the chain as numbers of states, shape `(chains, steps + 1)`.

        Args:
            steps: Integer, `>= 1`.
            chains: Integer, `>= 1`. How many walks.
            start: The name of the state that all begin in; None to draw it from the
                stationary distribution.
            seed: Optional integer, for walks that repeat.
        """
        check_count("steps", steps)
        check_count("chains", chains)
        random = np.random.default_rng(seed)
        if start is None:
            now = random.choice(len(self.states), chains, p=self.stationary())
        elif start in self.states:
            now = np.full(chains, self.states.index(start))
        else:
            raise ValueError(
                f"`start` must be one of the states. Received: start={start!r}"
            )
        until = np.cumsum(self.transitions, axis=1)
        until[:, -1] = 1.0  # whatever rounding has made of the sum
        walks = [now]
        for u in random.random((steps, chains, 1)):
            walks.append((u >= until[walks[-1]]).sum(axis=1))
        return np.stack(walks, axis=1)

    def _recurrent(self):
        """The states that the chain ends up in; raises where that depends on chance."""
        closed = self.classes()
        if len(closed) > 1:
            named = [[self.states[i] for i in each[:5]] for each in closed[:5]]
            raise ValueError(
                "Where the chain ends up depends on where it begins: it has no one "
                f"stationary distribution. Received: {len(closed)} sets of states that "
                f"are never left, {named}"
            )
        return closed[0]


def gibbs_chain(machine: RBM) -> MarkovChain:
    """One Gibbs step of a small machine, v to h to v', as a chain of visible states.

    Its stationary distribution is the machine's p(v), and its mixing time says how many
    steps a chain of samples needs.

    Args:
        machine: A built RBM with Bernoulli units, at most 12 of them visible.

    Returns: a `MarkovChain` whose states are tuples of 0 and 1.

    Example:

    >>> machine = RBM(2, seed=0)
    >>> machine.build((None, 3))
    >>> chain = gibbs_chain(machine)
    >>> p = np.exp(ops.convert_to_numpy(machine.log_likelihood(np.array(chain.states))))
    >>> bool(np.allclose(chain.stationary(), p, atol=1e-6))
    True
    """
    if machine.visible != "bernoulli" or machine.hidden != "bernoulli":
        raise ValueError(
            "Only the states of Bernoulli units can be counted. Received: "
            f"visible={machine.visible!r}, hidden={machine.hidden!r}"
        )
    W, b, c = (
        ops.convert_to_numpy(w).astype("float64")
        for w in (machine.kernel, machine.visible_bias, machine.hidden_bias)
    )
    if max(len(b), len(c)) > _MOST_UNITS:
        raise ValueError(
            f"At most {_MOST_UNITS} visible and hidden units have few enough states to "
            f"count. Received: {len(b)} visible and {len(c)} hidden units"
        )
    v, h = states(len(b))[:, ::-1], states(len(c))  # the first of v counts most
    P = _chances(c + v @ W, h) @ _chances(b + h @ W.T, v)
    return MarkovChain(P, [tuple(row) for row in v.astype(int).tolist()])


def _chances(x, states):
    """p(state given x) of independent units, shape (rows of x, rows of states)."""
    log_on, log_off = -np.logaddexp(0, -x), -np.logaddexp(0, x)
    return np.exp(log_on @ states.T + log_off @ (1 - states).T)


def _distance(power, pi):
    """The largest distance in total variation of a row to pi."""
    return float(np.abs(power - pi).sum(axis=1).max() / 2)
