"""Which batch answers which index: seeded passes behind the indices that Keras asks for.

Keras' `fit` shuffles *batch indices* with a generator of its own, peeks at batches before it
trains, and lets one pass over the data live across epochs (`steps_per_epoch`).  A `PassSchedule`
turns its requests into the batches of seeded passes, each given out exactly once.  Pure
bookkeeping: no pixels, no Keras.
"""

from __future__ import annotations

from collections import Counter
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
    """Turn the indices that Keras asks for into the batches of one pass after another.

    Parameters
    ----------
    length
        Batches in a pass.
    shuffle
        True: whatever index is asked for gets the next batch of the pass.
        False: index i is always batch i.

    Notes
    -----
    During an epoch an index that is asked for twice gets the same batch twice; the next epoch may
    ask for it anew.  A pass is over when an epoch has ended and all its batches were given out.
    Until then it goes on in the next epoch (`steps_per_epoch`, or one that was broken off), also
    for requests between two epochs: TensorFlow's prefetch thread asks ahead while Keras validates.

    What Keras asks for while it sets up (to learn shapes, to build the model) is given out again.
    When no pass is under way, and Keras sets nothing up, requests are those of a script or of a
    data set that wraps this one: an index that is asked for once more belongs to the next pass.
    """

    def __init__(self, length: int, shuffle: bool) -> None:
        self.length = length
        self.shuffle = shuffle
        self._in_epoch = False
        self._setting_up = False
        self._begin_pass(0)

    def _begin_pass(self, number: int) -> None:
        self._pass = number
        self._peek_pass = number  # the pass that peeks see
        self._given_batches = 0  # how many batches of this pass were given out ...
        self._confirmed_batches = 0  # ... by epochs that have ended
        self._batch_of_index: dict[int, int] = {}  # since the last epoch ended

        self._forget_asks()

    def _forget_asks(self) -> None:
        self._asks: Counter[int] = Counter()  # of each index, outside an epoch

    @property
    def pass_start(self) -> int:
        """How many batches came before the pass under way."""
        return self._pass * self.length

    def peek(self, index: int) -> Position:
        """Return batch `index` of the pass that is shown outside an epoch; without an effect."""
        return self._position(self._peek_pass, index)

    def on_set_up(self) -> None:
        """Keras sets up a `fit`, `evaluate` or `predict`; an epoch under way was broken off."""
        if self._in_epoch:
            self._confirm()
        else:
            self._take_back()
        self._in_epoch, self._setting_up = False, True
        self._forget_asks()

    def on_epoch_begin(self) -> None:
        """Start an epoch: with a new pass, or with the rest of an unfinished one."""
        self._in_epoch = True
        self._peek_pass = self._pass
        self._forget_asks()

    def on_epoch_end(self) -> bool:
        """End an epoch, or a set-up; outside of both, let peeks see the next pass.

        Return whether it was an epoch.
        """
        whole = self._given_batches - self._confirmed_batches >= self.length
        epoch = self._in_epoch and (whole or not self._setting_up)
        if epoch:
            self._confirm()
        else:
            if not self._given_batches:
                self._peek_pass += 1
            self._take_back()
        self._in_epoch = self._setting_up = False
        self._forget_asks()
        return epoch

    def request(self, index: int) -> Position:
        """Return the batch that answers `index`, 0 <= index < length."""
        if not self._in_epoch and not self._given_batches:
            return self.peek(index) if self._setting_up else self._ask_outside(index)
        if index not in self._batch_of_index:
            # A whole epoch after one that was broken off gets the rest of the pass first, and then
            # the batches that the broken one has had: every batch once.
            batch = self._given_batches % self.length
            self._batch_of_index[index] = batch if self.shuffle else index
            self._given_batches += 1
        return self._position(self._pass, self._batch_of_index[index])

    def _ask_outside(self, index: int) -> Position:
        """Answer a script, or a data set that wraps this one: nobody says when a pass ends.

        By how often this index was asked for, and nothing else: two iterators of one seed stay in
        step though threads ask them in different orders.
        """
        again = self._asks[index]
        self._asks[index] += 1
        return self._position(self._peek_pass + again, index)

    def _confirm(self) -> None:
        """Take the batches that were asked for as used."""
        if self._given_batches >= self.length:
            self._begin_pass(self._pass + 1)
        else:
            self._confirmed_batches, self._batch_of_index = self._given_batches, {}

    def _take_back(self) -> None:
        """Give out again what was asked for since the last epoch ended."""
        self._given_batches, self._batch_of_index = self._confirmed_batches, {}
        if self._given_batches and not self.shuffle:
            # Keras starts over, and without an order of our own so does the pass.
            self._begin_pass(self._pass + 1)

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
