"""What all iterators share: the order of batches, and how one batch is made.

Pixels come from a source, numbers from a policy, and both meet in `make_batch`.  A batch is
a pure function of its `Position`, so it does not matter who asks for it, when, and how often.
"""

from __future__ import annotations

import threading
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from fastaug import keras_legacy
from fastaug.checks import check_flag, check_integer
from fastaug.counters import Counters, Delivery
from fastaug.files.catalog import EXTENSIONS
from fastaug.iterators.followed import Followed
from fastaug.iterators.keras_loop import KerasLoop, Made, warn_of_endless_epoch
from fastaug.iterators.labels import in_tuples
from fastaug.iterators.orders import Orders
from fastaug.iterators.passes import PassSchedule, Position, following
from fastaug.iterators.read_ahead import ReadAhead
from fastaug.iterators.saved_pictures import PictureSaver, picture_saver
from fastaug.kernels.launch import Pace, check_process
from fastaug.overrides import replaceable, replaced
from fastaug.pixels.batch import Recipe, make_batch
from fastaug.pixels.buffers import BatchBuffers
from fastaug.pixels.layout import Array
from fastaug.pixels.preprocessing import batched
from fastaug.settings import Settings
from fastaug.sources.base import Request, Source
from fastaug.transforms.policy import Drawn
from fastaug.transforms.streams import SEEDS, Streams, batch_stream


class BatchIterator(Followed, KerasLoop, keras_legacy.Iterator, ABC):  # type: ignore[misc]
    """What all iterators share: the order of batches, and how one is made.

    `next()` goes round for ever, in the order and with the pixels of Keras' iterators.  `fit`,
    `evaluate` and `predict` ask by index instead; in an epoch they get the same batches, in the
    same order, each exactly once (`PassSchedule`).  Both can be used side by side.

    Parameters
    ----------
    image_data_generator
        The generator whose options are followed; None changes nothing but the dtype.
    n
        Number of samples.
    batch_size, shuffle, seed
        As in Keras.  `seed=None` draws a seed, once, from NumPy's global state.
    image_shape
        Shape of one source image in `data_format`.  A batch has another where one of the
        generator's `transforms` gives another size.
    """

    white_list_formats = EXTENSIONS
    _name_numbers = 10_000  # how many Keras draws for the names of saved pictures

    def __init__(
        self,
        image_data_generator: Settings | None,
        n: int,
        batch_size: int,
        shuffle: bool,
        seed: int | None,
        image_shape: tuple[int, ...],
        data_format: str,
        dtype: Any,
        saver: PictureSaver | None,
    ) -> None:
        # Not `super()`: of Keras' iterators, which are bases too, nothing is used.
        keras.utils.PyDataset.__init__(self, workers=1, use_multiprocessing=False)
        check_integer("batch_size", batch_size, minimum=1)
        check_flag("shuffle", shuffle)
        if seed is not None:
            check_integer("seed", seed, minimum=0, maximum=SEEDS - 1)
        self.image_data_generator = image_data_generator
        self._defaults = Settings()  # where there is no generator
        self._n = self._rows_there = n
        self.seed = seed
        self.image_shape = image_shape
        self.data_format = data_format
        self.dtype = dtype
        self.batch_index = 0
        self.total_batches_seen = 0
        self.lock = threading.RLock()  # scripts hold it while they ask for indices
        self._drawn_seed = int(np.random.randint(SEEDS, dtype=np.int64)) if seed is None else seed
        self._batch_size = int(batch_size)
        self._shuffle = bool(shuffle)
        self.save_to_dir = None if saver is None else str(saver.folder)
        self.save_prefix, self.save_format = "", "png"  # subclasses are given others
        self._last_saver = saver
        self._start: int | None = None  # batches seen when the pass of `next()` began
        self._shown_start: int | None = None  # ... and that of the last batch that was asked for
        self._orders = Orders()
        self._last_position: Position | None = None
        self._is_sequential = True  # so that the next requests can be guessed
        self._schedule = self._new_schedule()
        self._rng = np.random.RandomState(0)  # seeded anew for every batch
        self._buffers = BatchBuffers()
        self._pace = Pace()
        self._read_ahead = ReadAhead(self._make, self._rest)
        self._follow(None, augment=True)
        self._begin_user_code()
        self._stats = Counters()
        self._deliveries: deque[Delivery] | None = None  # of `InputStats`
        self._source = self._make_source()
        self._settings.warn_of_quirks(*self._size)

    @abstractmethod
    def _make_source(self) -> Source:
        """Return where the pixels come from."""

    @abstractmethod
    def _label(self, batch: Array, rows: NDArray[np.intp]) -> Any:
        """Return what is given out: a batch with the labels and weights of its rows."""

    def _restart(self) -> None:
        """Start over with the present `batch_size` and `shuffle`."""
        self.batch_index = 0
        self._schedule = self._new_schedule()
        self._orders.clear()
        self._read_ahead.forget()
        self._source.close()
        self._source = self._make_source()

    def _new_schedule(self) -> PassSchedule:
        # Who replaces `__getitem__` knows a batch by its index: then `fit` asks by place, too.
        binds = self._shuffle and replaced(self, "__getitem__") is None
        return PassSchedule(len(self), binds)

    @property
    def n(self) -> int:
        """Number of samples; setting it starts a new pass over the first so many."""
        return self._n

    @n.setter
    def n(self, value: int) -> None:
        check_integer("n", value, minimum=0, maximum=self._rows_there)
        self._n = int(value)
        self._restart()

    @property
    def batch_size(self) -> int:
        """Samples in a batch; setting it starts a new pass."""
        return self._batch_size

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        check_integer("batch_size", value, minimum=1)
        self._batch_size = int(value)
        self._restart()

    @property
    def shuffle(self) -> bool:
        """Whether each pass has a random order; setting it starts a new pass."""
        return self._shuffle

    @shuffle.setter
    def shuffle(self, value: bool) -> None:
        check_flag("shuffle", value)
        self._shuffle = bool(value)
        self._restart()

    @property
    def workers(self) -> int:
        """Threads of Keras' own enqueuer: always 1, it stays off."""
        # Keras (3.7 to 3.15) reads this when it sets up `fit`, `evaluate` or `predict`, and at no
        # other time: the only sign that the requests to come are not for training yet.
        check_process()
        with self.lock:
            self._schedule.on_set_up()
        return 1

    @workers.setter
    def workers(self, value: int) -> None:
        if value not in (0, 1):
            warnings.warn(
                f"workers={value!r} is ignored: fastaug reads ahead itself. "
                "Set the number of decode processes with Generator(workers=...).",
                stacklevel=2,
            )

    @property
    def use_multiprocessing(self) -> bool:
        """Whether Keras may fork: always False."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            raise ValueError(
                "use_multiprocessing=True would fork this process, in which TensorFlow and Numba "
                "run threads; fastaug has decode processes of its own: Generator(workers=...)"
            )

    @property
    def index_generator(self) -> Iterator[NDArray[np.intp]]:
        """Generator of the row numbers of the batches that `next()` would give out."""
        while True:
            check_process()
            with self.lock:
                position = self._advance()
                rows = self._rows(position)
                self._handed_out.append((rows, position))
            yield rows

    @property
    def _saver(self) -> PictureSaver | None:
        """What saves pictures, or None: scripts set `save_to_dir` and its kin."""
        if not self.save_to_dir:
            return None
        wanted = self.save_to_dir, self.save_prefix, self.save_format
        if self._last_saver is None or not self._last_saver.is_for(*wanted):
            self._last_saver = picture_saver(*wanted, self.data_format, self._name_numbers)
        return self._last_saver

    @property
    def _settings(self) -> Settings:
        """The options that are followed; scripts may set another `image_data_generator`."""
        settings = self.image_data_generator
        return self._defaults if settings is None else settings

    def _recipe(self) -> Recipe:
        """Return what is done to every batch."""
        channels = self.image_shape[-3 if self.data_format == "channels_first" else -1]
        return self._settings.recipe(channels, self.dtype, self.data_format)

    @property
    def _size(self) -> tuple[int, int]:
        """Height and width of an image."""
        shape = self.image_shape
        return shape[1:] if self.data_format == "channels_first" else shape[:2]  # type: ignore[return-value]

    def __len__(self) -> int:
        return (self.n + self._batch_size - 1) // self._batch_size

    def __iter__(self) -> BatchIterator:
        return self

    def __next__(self) -> Any:
        check_process()  # before any lock, which a forked child may find locked for ever
        if self._start is None:
            warn_of_endless_epoch()
        if replaced(self, "_flow_index") is not None:
            return self._next_of_flow_index()
        with self.lock:
            position = self._advance()
        return self._take(position)

    def next(self) -> Any:
        """Return the next batch; after the last one of a pass comes the first of another."""
        return next(self)

    @replaceable
    def __getitem__(self, index: int) -> Any:
        """Return batch `index`: in `fit` one of the epoch's, else of a pass that indices go round.

        Outside of `fit`, an index that is asked for once more gives its batch of the next pass, in
        that one's order.  It depends on how often this index was asked for, and on nothing else.
        """
        if index >= len(self) or index < -len(self):
            raise ValueError(
                f"Asked to retrieve element {index}, but the Sequence has length {len(self)}"
            )
        check_process()
        with self.lock:
            position = self._schedule.request(index % len(self))
            # Without an order of our own, only requests in a row can be guessed.
            self._is_sequential = self._shuffle or position in (
                self._last_position or position,
                following(self._last_position or position, len(self)),
            )
            self._last_position, self._shown_start = position, position.start
        deliveries = self._deliveries  # which another thread may take away
        requested = perf_counter()
        batch = in_tuples(self._take(position))
        if deliveries is not None:
            deliveries.append(Delivery(requested, perf_counter(), threading.get_ident()))
        return batch

    def peek(self, index: int) -> Any:
        """Return batch `index` of the pass under way: always the same, and without an effect."""
        check_integer("index", index, minimum=0, maximum=len(self) - 1)
        check_process()
        with self.lock:
            position = self._schedule.peek(index)
        return in_tuples(self._take(position))

    def reset(self) -> None:
        """Let `next()` start a new pass; `fit` is not affected."""
        self.batch_index = 0

    def on_epoch_begin(self) -> None:
        """Keras starts an epoch."""
        check_process()
        with self.lock:
            self._schedule.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Keras ends an epoch; outside of one, `iterator[i]` shows the next pass from now on."""
        check_process()
        with self.lock:
            trained = self._schedule.on_epoch_end()
        if trained:
            self._report()

    @property
    def stats(self) -> Counters:
        """What was done so far, in numbers: a copy."""
        return self._stats.copy()

    def close(self) -> None:
        """Stop threads and processes and free their memory; batches given out stay valid.

        An iterator that nobody asks does so by itself after some seconds, and starts again when it
        is asked.  Files of one that was closed can't be asked for any more.
        """
        self._source.close()
        if self._followers is not None:
            self._followers.close()
        self._read_ahead.close()
        self._buffers.clear()

    def _rest(self) -> None:
        """Give back what is only needed to make batches, until the next one is asked for."""
        self._source.rest()
        if self._followers is not None:
            self._followers.rest()
        self._buffers.clear()

    def __enter__(self) -> BatchIterator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.n} images {self.image_shape}, "
            f"{len(self)} batches of {self._batch_size}, shuffle={self._shuffle}, "
            f"seed={self.seed}>"
        )

    def _advance(self) -> Position:
        """Move `next()` on by one batch, as Keras' `_flow_index` does."""
        if self.batch_index == 0 or self._start is None:
            self._start = self.total_batches_seen
        batch = self.batch_index % max(len(self), 1)
        position = Position(self._start, batch, self.total_batches_seen)
        self._shown_start = self._start
        self.batch_index = batch + 1 if batch + 1 < len(self) else 0
        self.total_batches_seen += 1
        return position

    def _rows(self, position: Position) -> NDArray[np.intp]:
        """Return the rows of a batch; call with the lock held."""
        first = position.batch * self._batch_size
        return self._order(position.start)[first : first + self._batch_size]

    def _ahead(self, position: Position) -> list[Position]:
        """Return which batches may be made ahead of time."""
        # Pictures are saved of batches that are given out, and of no others.
        if self._saver is not None or self._needs_asker():
            return []
        return self._guess(position)

    def _guess(self, position: Position) -> list[Position]:
        """Guess what is asked for next: the rest of the pass, then the beginning of the next."""
        if not self._is_sequential or not len(self):
            return []
        count = self._settings.read_ahead
        return [following(position, len(self), steps + 1) for steps in range(count)]

    def _request(self, position: Position) -> Request:
        """Return a position with its rows, for the source."""
        with self.lock:
            return position, self._rows(position)

    def _order(self, start: int) -> NDArray[np.intp]:
        """Return the order of the pass that begins when `start` batches were seen."""
        return self._orders.of_pass(start, self._stream_seed, self.n, self._shuffle)

    @property
    def _stream_seed(self) -> int:
        return self._drawn_seed if self.seed is None else int(self.seed)

    def _draw(
        self, position: Position, rows: NDArray[np.intp]
    ) -> tuple[Drawn, np.random.RandomState]:
        """Draw a batch; a pass's first batch comes behind its order, as in Keras.

        Return the stream, too, from which the names of saved pictures come next.
        """
        rng = batch_stream(self._stream_seed, position.seen, self._rng)
        if position.batch == 0 and self._shuffle:
            rng.permutation(self.n)
        streams = Streams(rng, self._stream_seed, position.seen)
        return self._draw_for(rows, streams), rng

    def _take(self, position: Position) -> Any:
        """Return a batch, made now or ahead of time."""
        self._note_options()
        started = perf_counter()
        made = self._read_ahead.take(position, partial(self._ahead, position))
        self._stats.add(wait_s=perf_counter() - started)
        return self._labelled(made)

    def _report(self) -> None:
        """Warn of what is to be reported at the end of an epoch."""

    def _make(self, position: Position) -> Any:
        """Make one batch: the same one whoever asks, whenever."""
        wanted = _, rows = self._request(position)
        if self._needs_asker():
            own = self._replaced_batches()
            if own is not None or self._has_methods or not isinstance(self._function, batched):
                return self._make_as_keras(position, rows, own)
        drawn, rng = self._draw(position, rows)
        images = self._make_watched(position, wanted, drawn)
        if self._saver is not None:
            self._saver.save(images, rows, rng)
        return Made(images, rows, self._followed(rows, drawn), drawn.partners)

    def _make_batch(self, position: Position, wanted: Request, drawn: Drawn) -> Array:
        """Make a batch as a whole."""
        guesses = self._guess(position) if self._source.prepares else []
        ahead = [self._request(guess) for guess in guesses]
        with self._source.lend(wanted, ahead) as (images, lent_rows):
            recipe = self._recipe()
            if self._source.was_late:
                # Decoders need the cores; where one thread finds none, the whole launch waits.
                recipe = replace(recipe, threads=1)
            started = perf_counter()
            batch = make_batch(
                recipe,
                images,
                lent_rows,
                drawn,
                samples=wanted[1],
                buffers=self._buffers,
                pace=self._pace,
                stats=self._stats,
            )
            self._stats.add(kernel_s=perf_counter() - started)
        return batch
