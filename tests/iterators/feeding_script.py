"""Trains, evaluates and predicts with fastaug's iterators, and tells what the models were fed.

    python feeding_script.py BACKEND [FOLDER WITH REAL IMAGES]

Run by `test_feeding.py`, once for each Keras backend, in a process of its own.  The last line of
its output is JSON: {scenario: what it observed, or {"traceback": ...}}.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

if __name__ == "__main__":
    os.environ["KERAS_BACKEND"] = sys.argv[1]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from backends import report
from conftest import ON_LINUX, _children, _threads, make_images
from keras import layers
from PIL import Image

from fastaug import Generator

BATCH, COUNT, SIZE = 4, 18, (6, 8)  # five batches, the last one of two images
LENGTH = 5


def digest(images) -> str:
    return hashlib.sha1(np.ascontiguousarray(images).tobytes()).hexdigest()[:10]


def passes(iterator, count: int) -> list[list[str]]:
    """The images of the first passes, as `for batch in iterator` shows them."""
    return [[digest(next(iterator)[0]) for _ in range(len(iterator))] for _ in range(count)]


class Recording:
    """Mixed into an iterator: notes what Keras calls, and what it gets."""

    def __getitem__(self, index: int):
        batch = super().__getitem__(index)
        self.calls.append(digest(batch[0]))
        return batch

    def on_epoch_begin(self) -> None:
        self.calls.append("B")
        super().on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.calls.append("E")
        super().on_epoch_end()


def recorded(iterator):
    iterator.calls = []
    iterator.__class__ = type("Recorded", (Recording, type(iterator)), {})
    return iterator


class Seen(layers.Layer):
    """Notes the images that reach the model; they pass unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def call(self, images):
        # Shapes are learned with tracers and symbolic tensors, which hold no values.
        if "Tracer" not in type(images).__name__ and not isinstance(images, keras.KerasTensor):
            self.seen.append(digest(np.asarray(images)))
        return images


def recording_model() -> keras.Model:
    """An unbuilt model without jit, so that its first layer sees every batch."""
    model = keras.Sequential([Seen(), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    return model


def take(model: keras.Model) -> list[str]:
    """What the model has seen since the last call."""
    seen = model.layers[0].seen
    taken = seen.copy()
    seen.clear()
    return taken


IMAGES = make_images(COUNT, *SIZE, 3)
LABELS = np.arange(COUNT, dtype="float32")


def augmenting(**options) -> Generator:
    return Generator(rotation_range=90, rescale=1 / 255, keras_quirks=False, workers=2, **options)


def training(shuffle: bool = True):
    return augmenting().flow(IMAGES, LABELS, batch_size=BATCH, seed=3, shuffle=shuffle)


def fit(model: keras.Model, iterator, **options) -> None:
    model.fit(iterator, verbose=0, **options)


# Scenarios.


def plain_fit():
    """Epoch after epoch, fit after fit, another model: the passes that `next()` shows."""
    iterator, model = recorded(training()), recording_model()
    fit(model, iterator, epochs=2)
    fit(model, iterator, epochs=1)
    other = recording_model()
    fit(other, iterator, epochs=1)
    return {"seen": take(model) + take(other), "calls": iterator.calls}


def fit_with_validation():
    iterator, model = training(), recording_model()
    generator = Generator(rescale=1 / 255)
    validation = generator.flow(IMAGES[:7], LABELS[:7], batch_size=3, shuffle=False)
    fit(model, iterator, epochs=2, validation_data=validation)
    fit(model, iterator, epochs=1, validation_data=validation)
    return {"seen": take(model), "validation": passes(validation, 1)[0]}


def fit_with_shuffled_validation():
    iterator, model = training(), recording_model()
    fit(model, iterator, epochs=3, validation_data=training())
    return take(model)


def steps_per_epoch(steps: int, epochs: int):
    iterator, model = training(), recording_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that the data ran out
        fit(model, iterator, epochs=epochs, steps_per_epoch=steps)
    return take(model)


def fits_of_few_steps():
    iterator, model = training(), recording_model()
    for _ in range(4):
        fit(model, iterator, epochs=1, steps_per_epoch=2)
    few = take(model)
    fit(model, iterator, epochs=2)
    return {"few": few, "then": take(model)}


class BreakOff(keras.callbacks.Callback):
    """Raise at the end of the third batch."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise self.error


class Stop(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            self.model.stop_training = True


def usable(model: keras.Model) -> keras.Model:
    """The model after an error, or a new one: Keras before 3.10 loses its weights on JAX."""
    version = tuple(map(int, keras.__version__.split(".")[:2]))
    return recording_model() if keras.backend.backend() == "jax" and version < (3, 10) else model


def broken_off(callback: keras.callbacks.Callback, **options):
    iterator, model = training(), recording_model()
    error = None
    try:
        fit(model, iterator, epochs=2, callbacks=[callback], **options)
    except (OSError, KeyboardInterrupt) as raised:
        error = type(raised).__name__
    first = take(model)
    model = usable(model)
    fit(model, iterator, epochs=2, **options)
    return {"error": error, "first": first, "then": take(model)}


def raising_function():
    """`preprocessing_function` raises once, in the second epoch."""
    calls = []

    def function(image):
        calls.append(1)
        if len(calls) == 2 * COUNT + 1 + 8:  # 8: at most two batches to learn shapes
            raise ValueError("a bad image")
        return image

    generator = augmenting(preprocessing_function=function)
    iterator = generator.flow(IMAGES, LABELS, batch_size=BATCH, seed=3)
    model, message = recording_model(), ""
    try:
        fit(model, iterator, epochs=4)
    except Exception as error:
        message = str(error)
    take(model)
    model = usable(model)
    fit(model, iterator, epochs=1)
    return {"message": message, "then": take(model)}


def workers_set_to_four():
    iterator, model = training(), recording_model()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        iterator.workers = 4
        iterator.max_queue_size = 1
    fit(model, iterator, epochs=2)
    return {"seen": take(model), "warnings": [str(one.message) for one in caught]}


def unshuffled_fit():
    iterator, model = training(shuffle=False), recording_model()
    fit(model, iterator, epochs=2)  # Keras shuffles the batches all the same
    fit(model, iterator, epochs=1, shuffle=False)
    return {"seen": take(model), "passes": passes(training(shuffle=False), 3)}


def next_beside_fit():
    iterator, model = training(), recording_model()
    first = [digest(next(iterator)[0]) for _ in range(2)]
    fit(model, iterator, epochs=1)
    second = [digest(next(iterator)[0]) for _ in range(2)]
    return {"next": first + second, "fit": take(model)}


def evaluate_and_predict():
    iterator, model = training(), recording_model()
    model.evaluate(iterator, verbose=0)
    evaluated = take(model)
    model.predict(iterator, verbose=0)
    predicted = take(model)
    fit(model, iterator, epochs=1)
    return {"evaluate": evaluated, "predict": predicted, "fit": take(model)}


def predict_twice_unshuffled():
    """Test-time augmentation: each `predict` has draws of its own."""
    iterator, model = training(shuffle=False), recording_model()
    model.build((None, *SIZE, 3))
    for _ in range(2):
        model.predict(iterator, verbose=0)
    return take(model)


def one_batch():
    iterator = augmenting().flow(IMAGES, LABELS, batch_size=COUNT, seed=3)
    model = recording_model()
    model.build((None, *SIZE, 3))
    fit(model, iterator, epochs=3)
    again = augmenting().flow(IMAGES, LABELS, batch_size=COUNT, seed=3)
    return {"seen": take(model), "passes": [one[0] for one in passes(again, 4)]}


def several_inputs() -> dict[str, list[float]]:
    """A model that adds an image's mean and a second input."""
    images, number = keras.Input((*SIZE, 3)), keras.Input((1,))
    mean = layers.GlobalAveragePooling2D()(images)
    outputs = layers.Dense(1, kernel_initializer="ones")(layers.concatenate([mean, number]))
    model = keras.Model([images, number], outputs)
    model.compile(keras.optimizers.SGD(0.0), "mae")
    numbers = 1000 * LABELS[:, np.newaxis]
    options = {"batch_size": BATCH, "shuffle": False}
    with_labels = Generator().flow((IMAGES, numbers), LABELS, **options)
    without = Generator().flow((IMAGES, [numbers]), **options)
    sums = IMAGES.mean(axis=(1, 2)).sum(axis=1) + numbers[:, 0]
    return {
        "expected": sums.tolist(),
        "with labels": model.predict(with_labels, verbose=0)[:, 0].tolist(),
        "without labels": model.predict(without, verbose=0)[:, 0].tolist(),
        "expected loss": [float(np.abs(sums - LABELS).mean())],
        "loss": model.fit(with_labels, verbose=0).history["loss"],
    }


class Frame(dict):
    """As much of a data frame as fastaug needs."""

    columns = property(list)


def several_labels(folder: Path) -> dict[str, list[float]]:
    """A model with two outputs, both the image's mean."""
    names = save_pictures(folder)
    images = keras.Input((*SIZE, 3))
    mean = layers.GlobalAveragePooling2D()(layers.Lambda(lambda x: x[..., :1])(images))
    model = keras.Model(images, [mean, layers.Identity()(mean)])
    model.compile(keras.optimizers.SGD(0.0), ["mae", "mae"])
    first, second = np.arange(COUNT) * 2.0, np.arange(COUNT) * 3.0
    frame = Frame(filename=np.array(names), first=first, second=second)
    with Generator(workers=1).flow_from_dataframe(
        frame, folder, y_col=["first", "second"], class_mode="multi_output", target_size=SIZE,
        batch_size=BATCH,
    ) as iterator:  # fmt: skip
        losses = model.evaluate(iterator, verbose=0)
        history = model.fit(iterator, verbose=0).history
    means = IMAGES[..., 0].mean(axis=(1, 2))
    expected = [float(np.abs(means - labels).mean()) for labels in (first, second)]
    return {
        "expected": [sum(expected), *expected],
        "evaluate": losses[:3],
        "loss": history["loss"],
    }


def mean_model(**options) -> keras.Model:
    """A built model whose output is the mean value of an image; training does not change it."""
    model = keras.Sequential(
        [keras.Input((*SIZE, 3)), layers.Flatten(), layers.Dense(1, kernel_initializer="ones")]
    )
    model.set_weights([np.full((144, 1), 1 / 144, "float32"), np.zeros(1, "float32")])
    model.compile(keras.optimizers.SGD(0.0), "mse", **options)
    return model


def weights():
    """Losses of weighted fits and evaluations, and the same by NumPy."""
    labels = (np.arange(COUNT) % 3).astype("float32")
    generator, observed = Generator(rescale=1 / 255), {}
    means = (IMAGES / 255).mean(axis=(1, 2, 3))
    errors = (means - labels) ** 2
    iterator = generator.flow(IMAGES, labels, batch_size=BATCH, seed=3)
    by_class = {0: 1.0, 1: 5.0, 2: 0.0}
    history = mean_model().fit(iterator, class_weight=by_class, verbose=0).history
    expected = np.mean(errors * [by_class[int(label)] for label in labels])
    observed["class_weight"] = history["loss"][0], float(expected)
    sample = np.linspace(0, 4, COUNT).astype("float32")
    iterator = generator.flow(IMAGES, labels, batch_size=BATCH, seed=3, sample_weight=sample)
    history = mean_model().fit(iterator, verbose=0).history
    observed["sample_weight"] = history["loss"][0], float(np.mean(errors * sample))
    evaluated = mean_model().evaluate(iterator, verbose=0)
    observed["evaluate"] = float(evaluated), float(np.mean(errors * sample))
    return observed


def save_pictures(folder: Path) -> list[str]:
    """Save IMAGES in three folders of classes; return their names in IMAGES' order."""
    names = []
    for number, image in enumerate(IMAGES):
        names.append(f"{'abc'[number % 3]}/{number}.png")
        path = folder / names[-1]
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
    return names


def predict_order(folder: Path) -> dict[str, list]:
    """Predictions of an unshuffled folder, and Pillow's means of the files in `filenames`."""
    save_pictures(folder)
    with Generator(rescale=1 / 255, workers=2).flow_from_directory(
        folder, SIZE, batch_size=BATCH, class_mode=None, shuffle=False
    ) as iterator:
        predicted = [mean_model().predict(iterator, verbose=0)[:, 0].tolist() for _ in range(2)]
        paths = [folder / name for name in iterator.filenames]
    means = [float(np.asarray(Image.open(path)).mean() / 255) for path in paths]
    return {"predicted": predicted, "means": means}


def folder_fit(folder: Path) -> dict[str, list]:
    """Training from files, decoded ahead by processes, beside validation from files."""
    save_pictures(folder)

    def from_files(generator: Generator, **options):
        return generator.flow_from_directory(
            folder, SIZE, batch_size=BATCH, class_mode="sparse", seed=5, **options
        )

    model = recording_model()
    with from_files(augmenting()) as files, from_files(augmenting(), shuffle=False) as others:
        fit(model, files, epochs=3, validation_data=others)
        fit(model, files, epochs=4, steps_per_epoch=3)
    with from_files(augmenting()) as files, from_files(augmenting(), shuffle=False) as others:
        shown = {"passes": passes(files, 5), "validation": passes(others, 3)}
    return {"seen": take(model), **shown}


def images_as_bytes():
    """Batches of uint8, which the model rescales."""
    iterator = Generator(horizontal_flip=True, dtype="uint8").flow(IMAGES, LABELS, batch_size=BATCH)
    model = keras.Sequential([layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    return model.fit(iterator, epochs=2, verbose=0).history["loss"]


def left_over() -> dict[str, int]:
    """How many children and threads of fastaug's live."""
    return {
        "children": len(_children()) if ON_LINUX else 0,
        "threads": len(_threads()),
    }


def cifar(images: Path):
    """The 2017 study's first model, on 512 of the images."""
    keras.utils.set_random_seed(7)
    with np.load(images / "cifar10" / "cifar10_subset.npz") as arrays:
        x, y = arrays["x_train"][:512], arrays["y_train"][:512]
    generator = Generator(
        width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True, rescale=1 / 255
    )
    model = keras.Sequential(
        [
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(512, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(generator.flow(x, y, seed=1), epochs=3, verbose=0).history


def dogs(images: Path):
    """Like the study's second model, a small net for photos; files are decoded ahead."""
    keras.utils.set_random_seed(7)
    train = Generator(
        rotation_range=20, zoom_range=[0.8, 1], channel_shift_range=20, horizontal_flip=True,
        rescale=1 / 255, workers=2,
    )  # fmt: skip
    folder, size = images / "dogs_vs_cats", (32, 32)
    model = keras.Sequential()
    for filters in (16, 32, 64):
        model.add(layers.Conv2D(filters, 3, activation="relu"))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(64, activation="relu")):
        model.add(layer)
    model.add(layers.Dense(1, activation="sigmoid"))
    model.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
    options = {"target_size": size, "class_mode": "binary", "batch_size": 16}
    plain = Generator(rescale=1 / 255, workers=1)
    with (
        train.flow_from_directory(folder / "train", seed=1, **options) as photos,
        plain.flow_from_directory(folder / "validation", shuffle=False, **options) as others,
    ):
        history = model.fit(photos, epochs=6, validation_data=others, verbose=0).history
    return {"history": history, "left": left_over()}


def scenarios(images: Path | None):
    """Yield (name, function)."""
    yield "passes", lambda: passes(training(), 6)
    for function in (
        plain_fit, fit_with_validation, fit_with_shuffled_validation, fits_of_few_steps,
        raising_function, workers_set_to_four, unshuffled_fit, next_beside_fit,
        evaluate_and_predict, predict_twice_unshuffled, one_batch, several_inputs, weights,
        images_as_bytes,
    ):  # fmt: skip
        yield function.__name__, function
    for steps, epochs in ((1, 7), (2, 6), (5, 2), (7, 2)):
        yield f"steps_per_epoch={steps}", lambda s=steps, e=epochs: steps_per_epoch(s, e)
    for name, callback, options in (
        ("error", BreakOff(OSError("an error in the third batch")), {}),
        ("Ctrl-C", BreakOff(KeyboardInterrupt()), {}),
        ("stop_training", Stop(), {}),
        ("error, steps_per_epoch=4", BreakOff(OSError("an error")), {"steps_per_epoch": 4}),
    ):
        yield f"broken off: {name}", lambda c=callback, o=options: broken_off(c, **o)
    for function in (predict_order, folder_fit, several_labels):
        with tempfile.TemporaryDirectory() as folder:
            yield function.__name__, lambda f=function, path=Path(folder): f(path)
    if images is not None:
        yield "cifar", lambda: cifar(images)
        yield "dogs", lambda: dogs(images)


if __name__ == "__main__":
    report(scenarios(Path(sys.argv[2]) if len(sys.argv) > 2 else None))
