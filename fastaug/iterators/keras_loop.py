"""Keras' own loop: for the user's code that replaces a part of it, draws in it, or reaches into it.

Batches are made as a whole, and ahead of time, as long as nobody can see the difference.  Where a
method was replaced, or a function draws from the global random state, the batch is made image by
image in the thread that asks for it, while that state is the batch's own.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import is_
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastaug.errors import users_stacklevel
from fastaug.iterators.global_state import DrawsSeen, global_states
from fastaug.iterators.passes import Position
from fastaug.iterators.read_ahead import NotAheadError
from fastaug.overrides import replaceable, replaced
from fastaug.pixels.layout import Array
from fastaug.pixels.one_by_one import Methods, make_one_by_one
from fastaug.pixels.preprocessing import batched
from fastaug.settings import Settings
from fastaug.sources.base import Request
from fastaug.targets.following import Targets
from fastaug.transforms.base import Partners
from fastaug.transforms.policy import Drawn
from fastaug.transforms.streams import SEEDS, Streams, batch_stream

_LOG = logging.getLogger("fastaug")


class Made(NamedTuple):
    """A batch without labels, which are those of the moment when it is given out.

    `targets` are masks, boxes and points; `partners` are what labels are mixed by.
    """

    images: Array
    rows: NDArray[np.intp]
    targets: Targets | None = None
    partners: tuple[Partners, ...] = ()


class KerasLoop:
    """The part of `BatchIterator` that knows the user's code."""

    # What it uses of `BatchIterator`.
    batch_index: int
    image_shape: tuple[int, ...]
    lock: Any
    dtype: Any
    n: Any
    save_to_dir: Any
    seed: Any
    _augment: bool
    _buffers: Any
    _draw: Any
    _followed: Any
    _followers: Any
    _guess: Any
    _label: Any
    _make: Any
    _make_batch: Any
    _order: Any
    _orders: Any
    _policy: Any
    _read_ahead: Any
    _recipe: Any
    _request: Any
    _saver: Any
    _schedule: Any
    _settings: Any
    _shuffle: bool
    _size: Any
    _shown_start: Any
    _source: Any
    _start: Any
    _stats: Any
    _rng: np.random.RandomState
    _stream_seed: Any
    _with_targets: Any

    def _begin_user_code(self) -> None:
        """Know nothing yet."""
        self._options: tuple[Any, ...] = ()  # of the last batch
        self._methods, self._has_methods = Methods(), False
        self._has_warned_of_random_transform = False
        self._function: Any = None  # the user's, of which it is known ...
        self._function_draws: bool | None = None  # ... whether it draws; None: not yet
        self._is_disturbed = False  # whether others draw while it runs ahead of time
        self._own_indices: Iterator[Any] | None = None  # of the user's `_flow_index`
        self._handed_out: deque[tuple[NDArray[np.intp], Position]] = deque(maxlen=8)

    @replaceable
    def _flow_index(self: Any) -> Iterator[NDArray[np.intp]]:
        """Return `index_generator`, by the name that subclasses of Keras' iterators replace."""
        return self.index_generator

    @property
    def index_array(self) -> NDArray[np.intp] | None:
        """Rows of the pass that the last batch belongs to, in their order; None before the first.

        A copy that is set takes the place of that order until the pass ends.
        """
        with self.lock:
            return None if self._shown_start is None else self._order(self._shown_start)

    @index_array.setter
    def index_array(self, value: Any) -> None:
        with self.lock:
            peeks = self._schedule.peek(0).start
            starts = (peeks, self._schedule.pass_start, self._start, self._shown_start)
            self._orders.set_own(value, starts, self.n)
            if self._shown_start is None:
                self._shown_start = peeks
        self._read_ahead.forget()

    def _set_index_array(self) -> None:
        """Draw a new order from NumPy's global state, as code that reaches into Keras' does."""
        self.index_array = np.random.permutation(self.n) if self._shuffle else np.arange(self.n)

    @replaceable
    def _get_batches_of_transformed_samples(self, index_array: Any) -> Any:
        """Return the batch of these rows, as code that reaches into Keras' iterators asks for it.

        Rows that `index_generator` gave out get the numbers of their batch; others get those of
        NumPy's global state, as in Keras.
        """
        rows = np.asarray(index_array, np.intp)
        self._note_options()
        with self._read_ahead.paused():
            return self._labelled(self._made_of_rows(rows))

    def _made_of_rows(self, rows: NDArray[np.intp]) -> Any:
        for given, position in self._handed_out:
            if np.array_equal(given, rows):
                if self._replaced_batches() is None:
                    return self._make(position)
                return self._make_as_keras(position, rows, None)
        seed = int(np.random.randint(SEEDS, dtype=np.int64)) if self._settings.transforms else 0
        streams = Streams(np.random, seed, 0)
        return Made(self._one_by_one(rows, streams), rows, partners=self._partners(rows, streams))

    def _partners(self, rows: NDArray[np.intp], streams: Streams) -> tuple[Partners, ...]:
        """Return how a batch that was made image by image is mixed; it has no targets."""
        if self._followers is not None:
            raise ValueError(
                "masks, boxes and points can't follow images that are made one at a time: replace "
                "no method of the generator, and let preprocessing_function draw nothing"
            )
        policy = self._policy()
        return policy.draw_partners(streams, len(rows), policy.size_after(self._size))

    def _next_of_flow_index(self) -> Any:
        """Do as Keras does where the user's own `_flow_index` says which rows come next."""
        with self.lock:
            if self._own_indices is None:
                self.batch_index = 0
                self._own_indices = self._flow_index()
            rows = next(self._own_indices)
        return self._get_batches_of_transformed_samples(rows)

    def _labelled(self, made: Any) -> Any:
        return self._with_targets(made) if isinstance(made, Made) else made

    def _needs_asker(self) -> bool:
        """Tell whether batches are made by the thread that asks, and none ahead of time.

        So are those that a user's code draws for, because the global state is of the process.
        """
        if self._has_methods or self._is_disturbed or self._replaced_batches() is not None:
            return True
        return self._function is not None and self._function_draws is not False

    def _replaced_batches(self) -> Callable[..., Any] | None:
        return replaced(self, "_get_batches_of_transformed_samples")

    def _note_options(self) -> None:
        """Forget batches that were made ahead with other options: scripts change them."""
        settings = self._settings
        settings.check()
        # `derived` is another after any change, of which `mean *= 2` leaves the same array.
        options = (
            self.seed,
            self.dtype,
            self.save_to_dir,
            settings._derived,
            *vars(settings).values(),
        )
        if len(options) != len(self._options) or not all(map(is_, options, self._options)):
            self._read_ahead.forget()
            self._options = options
            self._find_methods(settings)

    def _find_methods(self, settings: Settings) -> None:
        """Find out which methods of the generator the user has replaced, and say so."""
        names = Methods.__dataclass_fields__
        methods = Methods(**{name: replaced(settings, name) for name in names})
        if not self._augment:
            methods = Methods(standardize=methods.standardize)
        if methods.names() and methods.names() != self._methods.names():
            _LOG.info(
                "%s of %s is yours: it is called for one image at a time, and nothing is made "
                "ahead; the rest stays compiled",
                ", ".join(methods.names()),
                type(settings).__name__,
            )
        if replaced(settings, "random_transform") and not self._has_warned_of_random_transform:
            self._has_warned_of_random_transform = True
            warnings.warn(
                "random_transform is not called for batches, as in Keras: replace apply_transform "
                "or get_random_transform",
                stacklevel=users_stacklevel(),
            )
        self._methods, self._has_methods = methods, bool(methods.names())
        function = self._recipe().standardization.function
        if function is not self._function:  # a new one begins to be watched
            self._function, self._function_draws, self._is_disturbed = function, None, False

    def _make_watched(self, position: Position, wanted: Request, drawn: Drawn) -> Array:
        """Make a batch as a whole; one whose function turns out to draw is made once more."""
        function = self._function
        if function is None:
            return self._make_batch(position, wanted, drawn)
        asked = not self._read_ahead.is_ahead()
        if isinstance(function, batched) and asked and self._function_draws is not False:
            rng = batch_stream(self._stream_seed, position.seen)
            drawn = self._draw(position, wanted[1])[0]
            rng.set_state(self._rng.get_state(legacy=False))
            with global_states(rng, self._python_seed(position)):
                seen = DrawsSeen()
                images = self._make_batch(position, wanted, drawn)
                self._function_draws = bool(seen)
            return images
        seen = DrawsSeen()
        images = self._make_batch(position, wanted, drawn)
        if not seen:
            return images
        if not asked:
            # Was it the function, or another thread?  The one that asks for the batch can tell.
            raise NotAheadError
        self._function_draws = None
        rows = wanted[1]
        if isinstance(function, batched):
            return self._make_watched(position, wanted, drawn)
        images = self._make_as_keras(position, rows, None).images
        if not self._function_draws:
            self._is_disturbed = True
        return images

    def _make_as_keras(
        self, position: Position, rows: NDArray[np.intp], own: Callable[..., Any] | None
    ) -> Any:
        """Make a batch image by image, while NumPy's global state is the batch's own."""
        if self._read_ahead.is_ahead():
            raise NotAheadError
        rng = batch_stream(self._stream_seed, position.seen)
        if position.batch == 0 and self._shuffle:
            rng.permutation(self.n)
        streams = Streams(np.random, self._stream_seed, position.seen)
        with global_states(rng, self._python_seed(position)):
            if own is not None:
                self._handed_out.clear()  # within it our own method draws from the global state
                return own(rows)
            images = self._one_by_one(rows, streams, position)
        if self._followers is not None and not self._has_methods and not self._function_draws:
            drawn, _ = self._draw(position, rows)  # what was drawn one by one
            return Made(images, rows, self._followed(rows, drawn), drawn.partners)
        return Made(images, rows, partners=self._partners(rows, streams))

    def _python_seed(self, position: Position) -> int:
        return self._stream_seed + position.seen

    def _one_by_one(
        self, rows: NDArray[np.intp], streams: Streams, position: Position | None = None
    ) -> Array:
        """Make a batch image by image, from NumPy's global state."""
        function, recipe = self._function, self._recipe()
        if not len(rows):
            return np.empty((0, *self.image_shape), recipe.dtype)
        watched = function is not None and self._function_draws is None
        seen = _Watched(function) if watched and not isinstance(function, batched) else None
        if seen is not None:
            recipe = replace(recipe, standardization=recipe.standardization.calling(seen))
        name: Any = "rows" if position is None else position
        guesses = [] if position is None or not self._source.prepares else self._guess(position)
        ahead = [self._request(guess) for guess in guesses]
        with self._source.lend((name, rows), ahead) as (images, lent_rows):
            started = perf_counter()
            batch = make_one_by_one(
                recipe,
                images,
                lent_rows,
                self._policy(),
                streams,
                self._size,
                self._methods,
                samples=rows,
                buffers=self._buffers,
                stats=self._stats,
                is_exact=lambda: (
                    function is None
                    or bool(self._function_draws)
                    or (seen is not None and seen.has_drawn)
                ),
            )
            self._stats.add(kernel_s=perf_counter() - started)
        if seen is not None:
            self._function_draws = seen.has_drawn
            if seen.has_drawn:
                _LOG.info(
                    "preprocessing_function %r draws random numbers: it is called for one image at "
                    "a time, and nothing is made ahead; the rest stays compiled",
                    getattr(function, "__name__", function),
                )
        if self._saver is not None:
            self._saver.save(batch, rows, streams.keras)
        return batch


class _Watched:
    """A user's function; tells whether it draws from a global state."""

    def __init__(self, function: Callable[[Array], Array]) -> None:
        self._function = function
        self.__name__ = getattr(function, "__name__", repr(function))
        self.has_drawn = False

    def __call__(self, image: Array) -> Array:
        if self.has_drawn:
            return self._function(image)
        seen = DrawsSeen()
        image = self._function(image)
        self.has_drawn = bool(seen)
        return image


def warn_of_endless_epoch() -> None:
    """Warn if Keras 2 asks for the first batch without a number of steps.

    The package `tf_keras` takes what is no `Sequence` of its own for a generator (seen with 2.21).
    """
    if "tf_keras" not in sys.modules:
        return
    frame, asked = sys._getframe(2), False
    while frame is not None and frame.f_globals["__name__"].partition(".")[0] == "tf_keras":
        steps = frame.f_locals.get("steps_per_epoch"), frame.f_locals.get("steps")
        if steps != (None, None):
            return
        asked, frame = True, frame.f_back  # type: ignore[assignment]
    if asked:
        warnings.warn(
            "tf_keras, which is Keras 2, sees no end of this iterator: its epoch goes on for ever. "
            "Pass steps_per_epoch=len(iterator), and validation_steps; or use Keras 3",
            stacklevel=users_stacklevel(),
        )
