"""Which batch answers which index: seeded passes behind the indices that Keras asks for.

Keras' `fit` shuffles *batch indices* with a generator of its own, peeks at batches before it
trains, and lets one pass over the data live across epochs (`steps_per_epoch`).  A `PassSchedule`
turns its requests into the batches of seeded passes, each given out exactly once.  Pure
bookkeeping: no pixels, no Keras.
"""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """One batch: number `batch` of the pass whose order was drawn when `start` batches were seen.

    The batch's own numbers are drawn with `seed + seen`; iterated without a reset, `seen` is
    `start + batch`.
    """

    start: int
    batch: int
    seen: int


class PassSchedule:
    """Bind indices to the batches of one pass after another.

    Parameters
    ----------
    length
        Batches in a pass.
    shuffle
        True: an index that is asked for during a pass is bound to the next batch of that pass.
        False: index i is always batch i.

    Notes
    -----
    A pass begins with the first request of an epoch and is over when every index was asked for and
    the epoch has ended.  Until then it goes on across epochs, also for requests between two epochs:
    TensorFlow's prefetch thread asks ahead while Keras validates.  When no pass is under way,
    requests outside an epoch are peeks: positional, and without an effect.
    """

    def __init__(self, length: int, shuffle: bool) -> None:
        self.length = length
        self.shuffle = shuffle
        self._pass = 0
        self._shown = 0  # the pass that peeks see
        self._in_epoch = False
        self._bound: dict[int, int] = {}

    def on_epoch_begin(self) -> None:
        """Start an epoch: with a new pass, or with the rest of an unfinished one."""
        self._in_epoch = True
        self._shown = self._pass

    def on_epoch_end(self) -> None:
        """End an epoch; outside of one, let peeks see the next pass."""
        if len(self._bound) == self.length:
            self._pass += 1
            self._shown = self._pass
            self._bound = {}
        elif not self._in_epoch and not self._bound:
            self._shown += 1
        self._in_epoch = False

    def request(self, index: int) -> Position:
        """Return the batch that answers `index`, 0 <= index < length."""
        if not self._in_epoch and not self._bound:
            return self._position(self._shown, index)
        batch = len(self._bound) if self.shuffle else index
        return self._position(self._pass, self._bound.setdefault(index, batch))

    def following(self, position: Position, count: int) -> list[Position]:
        """Guess the next `count` batches: the rest of the pass, then the start of the next."""
        return [following(position, self.length, ahead) for ahead in range(1, count + 1)]

    def _position(self, number: int, batch: int) -> Position:
        start = number * self.length
        return Position(start, batch, start + batch)


def following(position: Position, length: int, ahead: int = 1) -> Position:
    """Return the batch that comes `ahead` batches later, in passes of `length` batches."""
    batch, seen = position.batch + ahead, position.seen + ahead
    if batch < length:
        return Position(position.start, batch, seen)
    over = batch % length
    return Position(seen - over, over, seen)
