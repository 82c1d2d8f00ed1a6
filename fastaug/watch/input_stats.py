"""`InputStats`: a Keras callback that tells whether training waits for its input."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import keras
from PIL import Image

from fastaug.checks import check_flag
from fastaug.counters import Counters, Delivery
from fastaug.files.decode import is_much_larger
from fastaug.files.target import Target
from fastaug.iterators.base import BatchIterator
from fastaug.iterators.files import FileIterator
from fastaug.kernels.launch import limited_threads
from fastaug.machine import default_cache_bytes, usable_cores
from fastaug.pixels.preprocessing import batched
from fastaug.watch.advice import ENOUGH, Feed, Shares, advise
from fastaug.watch.waiting import Step, seconds_waited

_MAX_DELIVERIES = 2**20  # a `fit` that was broken off goes on collecting them
_SAMPLED_FILES = 9  # in which it looks whether photos are much larger than the batches' images


@dataclass(frozen=True, slots=True)
class EpochInput:
    """What `InputStats` found in one epoch.

    Parameters
    ----------
    epoch
        Its number, from 0.
    seconds
        How long it was measured.
    shares
        Shares of that time: that the model waited, and that each stage was busy.
    advice
        What limits training, or what to try.
    from_files
        Whether images were decoded.
    """

    epoch: int
    seconds: float
    shares: Shares
    advice: str
    from_files: bool

    def __str__(self) -> str:
        shares = self.shares
        stages = [("augment", shares.augment)]
        if self.from_files:
            stages = [("decode", shares.decode), *stages, ("hand-over", shares.hand_over)]
        busy = ", ".join(f"{name} {share:.0%}" for name, share in stages)
        return f"input: model waited {shares.waited:.0%} of the epoch | {busy} | {self.advice}"


class InputStats(keras.callbacks.Callback):  # type: ignore[misc]
    """Tell after each epoch how long the model waited for its input, and what to try.

    Adds `input_wait` to the epoch's logs, so that History, CSVLogger and TensorBoard keep it: the
    share of the epoch's time, 0 to 1, in which the model waited for its input.  Keras gives the
    same logs to one callback after another, so it must come *before* those that are to see it
    (History comes last by itself).

    Parameters
    ----------
    iterator
        The iterator on which `fit` trains, made by one of `Generator`'s `flow` methods.
    verbose
        1 prints a line for each epoch: the share, how busy the stages of the input were, and an
        advice.  It comes when the progress bar of the epoch is complete.

    Attributes
    ----------
    epochs
        An `EpochInput` for each epoch of the last `fit`.

    Raises
    ------
    TypeError
        If `iterator` is none of fastaug's.

    Notes
    -----
    *The model waits* for a batch while the iterator is asked for it and hasn't given it out yet,
    the model has finished the step before, and the loop has come to the step that takes it.  A step
    is finished when Keras has its loss.  So time in which TensorFlow fetches ahead, or in which
    JAX's device still works while its loop is already waiting, does not count.  Copying a batch
    into a tensor counts as the model's time; so do other callbacks, and what TensorFlow takes to
    start its pipeline in each epoch.  With `steps_per_execution` above 1 the share is an upper
    bound.

    *The epoch's time* ends with the last step, before validation.  In the first epoch of a `fit` it
    begins when the first step is finished, because that one compiles the model; in the others with
    the epoch.

    docs/bottleneck.md has the rules of the advice.

    Examples
    --------
    >>> import keras, numpy as np, fastaug
    >>> images, labels = np.zeros((8, 5, 7, 3), np.uint8), np.zeros(8)
    >>> batches = fastaug.Generator(horizontal_flip=True).flow(images, labels, batch_size=2)
    >>> model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    >>> model.compile(loss="mse")
    >>> history = model.fit(batches, verbose=0, callbacks=[fastaug.InputStats(batches)])
    >>> 0 <= history.history["input_wait"][0] <= 1
    True
    """

    # Keras on JAX may call `on_train_batch_end` in a thread, as soon as the step's loss is there,
    # while its loop runs ahead.  It only notes the time.
    async_safe = True

    def __init__(self, iterator: BatchIterator, verbose: int = 0) -> None:
        super().__init__()
        if not isinstance(iterator, BatchIterator):
            raise TypeError(
                "InputStats takes the iterator on which `fit` trains, as Generator's flow, "
                "flow_from_directory and flow_from_dataframe make it, not "
                f"{iterator!r:.80} ({type(iterator).__name__})"
            )
        check_flag("verbose", verbose)
        self.iterator = iterator
        self.verbose = verbose
        self.epochs: list[EpochInput] = []
        self._deliveries: deque[Delivery] = deque(maxlen=_MAX_DELIVERIES)
        self._large_photos: bool | None = None
        self._unprinted_epoch: EpochInput | None = None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras passes it
        """Begin to watch the iterator."""
        self.epochs = []
        self._compiled = threading.Lock()  # taken by the `fit`'s first step
        self._deliveries = deque(maxlen=_MAX_DELIVERIES)
        self.iterator._deliveries = self._deliveries

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Begin to measure."""
        self._print()
        if (self.params or {}).get("steps") == len(self.iterator):
            # Keras begins a new pass; with `steps_per_epoch` it goes on, with what was fetched.
            self._deliveries.clear()
        self._step_begins: list[float] = []
        self._step_ends: dict[int, float] = {}
        self._loop_thread = threading.get_ident()
        self._starts = [(perf_counter(), self.iterator.stats)]
        self._end_counters: Counters | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Note when the loop comes to a step."""
        self._step_begins.append(perf_counter())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Note when the model has finished a step."""
        self._step_ends[batch] = perf_counter()
        if self._compiled.acquire(blocking=False):
            self._starts.append((self._step_ends[batch], self.iterator.stats))

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Stop measuring: validation is no part of the epoch's training."""
        self._end_counters = self.iterator.stats

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add `input_wait` to the logs."""
        after = self._end_counters or self.iterator.stats
        epoch_input = self._measure(epoch, after)
        if epoch_input is None:
            return
        self.epochs.append(epoch_input)
        self._unprinted_epoch = epoch_input if self.verbose else None
        if logs is not None:
            logs["input_wait"] = epoch_input.shares.waited

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Stop watching the iterator."""
        self._print()
        if self.iterator._deliveries is self._deliveries:
            self.iterator._deliveries = None

    def _print(self) -> None:
        """Print what was found in the last epoch, whose progress bar is complete by now."""
        if self._unprinted_epoch is not None:
            print(self._unprinted_epoch, flush=True)  # noqa: T201 - that is what `verbose` asks for
        self._unprinted_epoch = None

    def _measure(self, epoch: int, after: Counters) -> EpochInput | None:
        """Return what was found since the epoch began, or None where nothing was seen."""
        steps = self._steps()
        deliveries = self._take_deliveries(sum(step.batches for step in steps))
        if not steps:
            return None
        if not deliveries:
            if not self.epochs:
                warnings.warn(
                    f"InputStats watches {self.iterator!r}, from which `fit` takes no batches: "
                    "give it the iterator that `fit` got as `x`",
                    stacklevel=2,
                )
            return None
        since, before = self._starts[-1 if len(steps) > 1 else 0]
        seconds = max(steps[-1].finished - since, 1e-9)
        waited = seconds_waited(steps, deliveries, self._loop_thread, since)
        shares = self._shares(waited / seconds, seconds, before, after)
        feed = Feed() if shares.waited < ENOUGH else self._feed()
        from_files = isinstance(self.iterator, FileIterator)
        return EpochInput(epoch, seconds, shares, advise(shares, feed), from_files)

    def _take_deliveries(self, needed: int) -> list[Delivery]:
        """Take the epoch's deliveries, and leave what a thread has fetched for the next one."""
        deliveries = self._deliveries
        # Another thread may append to them in the meantime.
        fetched = [deliveries.popleft() for _ in range(len(deliveries))]
        if all(delivery.thread == self._loop_thread for delivery in fetched):
            return fetched
        deliveries.extendleft(reversed(fetched[needed:]))
        return fetched[:needed]

    def _steps(self) -> list[Step]:
        """Return the epoch's steps that were finished."""
        # In older versions of Keras both numbers of a step are that of its first batch.
        batches = getattr(self.model, "steps_per_execution", 1)
        ends = [end for _, end in sorted(self._step_ends.items())]
        return [Step(*times, batches) for times in zip(self._step_begins, ends, strict=False)]

    def _shares(self, waited: float, seconds: float, before: Counters, after: Counters) -> Shares:
        """Return the counters since the epoch began as shares of its time."""
        processes = max(1, self.iterator._settings.decode_workers)
        decoded, hits = after.decoded - before.decoded, after.cache_hits - before.cache_hits
        return Shares(
            waited=waited,
            decode=(after.decode_s - before.decode_s) / processes / seconds,
            augment=(after.kernel_s - before.kernel_s) / seconds,
            function=(after.function_s - before.function_s) / seconds,
            hand_over=(after.handover_s - before.handover_s) / seconds,
            cached=hits / max(1, decoded + hits),
        )

    def _feed(self) -> Feed:
        """Return how the iterator is set up."""
        iterator, cores = self.iterator, usable_cores()
        settings = iterator._settings
        with limited_threads(settings.threads) as threads:
            pass
        target, decoded_bytes = None, 0
        if isinstance(iterator, FileIterator):
            target = iterator._target
            decoded_bytes = iterator.n * target.nbytes
            if self._large_photos is None:
                self._large_photos = _has_large_photos(iterator.filepaths, target)
        fits = target is not None and decoded_bytes <= default_cache_bytes()
        cache = settings.cache
        return Feed(
            read_ahead=settings.read_ahead,
            workers=settings.decode_workers,
            cores=cores,
            threads=threads,
            cache=cache if cache in (None, "memory") else "disk",
            fits_in_memory=fits,
            decode=settings.decode,
            large_photos=bool(self._large_photos),
            batched=isinstance(settings.preprocessing_function, batched),
            order=settings.interpolation_order,
        )


def _has_large_photos(filepaths: list[str], target: Target) -> bool:
    """Tell whether most of a few files are JPEGs that `decode="fast"` makes smaller."""
    step = max(1, len(filepaths) // _SAMPLED_FILES)
    are_large = [_is_large_photo(path, target) for path in filepaths[::step][:_SAMPLED_FILES]]
    return bool(are_large) and median(are_large) == 1


def _is_large_photo(path: str, target: Target) -> bool:
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            return is_much_larger(image.size, target)
    except (OSError, ValueError, Image.DecompressionBombError):
        return False
