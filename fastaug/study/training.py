"""One `fit` of a contender, watched: what `train` and `disk` have in common."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import keras
import numpy as np

from fastaug.iterators.base import BatchIterator
from fastaug.study.record import Run
from fastaug.watch.input_stats import InputStats
from fastaug.watch.monitor import SystemMonitor

CURVE_POINTS = 400
_CURVES = ("cpu", "gpu_0")


class Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Watches the machine, and takes the time of each epoch, from when it was made.

    So the wait for the first batch counts, and validation: Keras says that an epoch begins when its
    first batch is there.  What does not count is how long TensorFlow takes to throw away the
    pipeline of the epoch before: often next to nothing, often as long again as that epoch, with all
    cores idle, whatever fed it.  Keras does so before the first step of the next epoch, and after
    the last epoch.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.monitor = SystemMonitor().start()
        self._last = self._begun = perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keras begins an epoch."""
        self._begun = perf_counter()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Keras begins a step."""
        # Other backends fetch the first batch in this time; TensorFlow does so in the step itself.
        if batch == 0 and self.seconds and keras.backend.backend() == "tensorflow":
            self._last += perf_counter() - self._begun

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Keras has ended an epoch."""
        now = perf_counter()
        self.seconds.append(now - self._last)
        self._last = now

    def on_train_end(self, logs: Any = None) -> None:
        """Keras has trained."""
        self.monitor.stop()


class SameBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Hands out batches that are there already: a model that nothing keeps waiting."""

    def __init__(self, batches: Sequence[Any]) -> None:
        super().__init__()
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Any:
        return self.batches[index]


class Trainee:
    """A model that begins each run with the same weights, already compiled for its batches.

    Parameters
    ----------
    model
        A compiled model of Keras.
    training, validation
        Data sets with batches of the shapes to come.
    """

    def __init__(self, model: Any, training: Any, validation: Any) -> None:
        self._model = model
        model.optimizer.build(model.trainable_variables)
        to_numpy = keras.ops.convert_to_numpy
        self._state = [np.array(to_numpy(variable.value)) for variable in self._variables()]
        # The first batches and the last ones, which may be smaller.
        first_and_last = [
            SameBatches([data[0], data[len(data) - 1]]) for data in (training, validation)
        ]
        model.fit(first_and_last[0], validation_data=first_and_last[1], verbose=0)

    def fit(
        self, training: Any, validation: Any, epochs: int, *, with_accuracy: bool = True
    ) -> Run:
        """Train from the start; return times, accuracy and what the machine did.

        Parameters
        ----------
        training, validation
            What feeds it.
        epochs
            How many.
        judge
            Whether the accuracy means anything.
        """
        for variable, value in zip(self._variables(), self._state, strict=True):
            variable.assign(value)
        input_stats = [InputStats(training)] if isinstance(training, BatchIterator) else []
        watch = Watch()
        try:
            history = self._model.fit(
                training,
                validation_data=validation,
                epochs=epochs,
                verbose=0,
                callbacks=[watch, *input_stats],
            ).history
        finally:
            watch.monitor.stop()
        waits = history.get("input_wait")
        return Run(
            watch.seconds,
            accuracy=float(history["val_accuracy"][-1]) if with_accuracy else None,
            summary=watch.monitor.summary(),
            curves=curves_of(watch.monitor),
            input_wait=None if waits is None else float(np.mean(waits)),
        )

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]


def curves_of(monitor: SystemMonitor) -> dict[str, list[float]]:
    """Return time and utilisation, thinned to CURVE_POINTS by means of neighbours."""
    frame = monitor.frame().reset_index()
    names = ["time", *(name for name in _CURVES if name in frame)]
    step = -(-len(frame) // CURVE_POINTS) or 1
    thinned = frame[names].groupby(frame.index // step).mean().fillna(0.0)
    return {name: [round(value, 3) for value in thinned[name].tolist()] for name in names}
