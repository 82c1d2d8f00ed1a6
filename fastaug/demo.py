"""`fastaug demo`: train a small model on a folder of pictures, and measure beside Keras.

Without a folder it draws one: two classes of JPEG files of varied size, from a seed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# The settings of the study of 2017 for photos from disk.
STUDY: dict[str, Any] = {
    "rotation_range": 45,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "zoom_range": [0.8, 1],
    "channel_shift_range": 20,
    "horizontal_flip": True,
    "rescale": 1 / 255.0,
}
CLASSES = ("blobs", "stripes")
SIZE = (299, 299)
BATCH = 32
ROUNDS = 3


def draw_folder(folder: Path, count: int = 240, seed: int = 0) -> None:
    """Draw `count` JPEG files of each class into sub-folders of `folder`."""
    rng = np.random.default_rng(seed)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            picture = _draw_picture(name, rng)
            picture.save(folder / name / f"{name}.{number}.jpg", quality=90)


def _draw_picture(name: str, rng: np.random.Generator) -> Image.Image:
    """Draw one picture: soft blobs, or stripes, on a noisy slope."""
    width, height = (int(size) for size in rng.integers(240, 501, 2))
    left, right = rng.uniform(60, 190, 2).tolist()
    slope = np.linspace(left, right, width)[np.newaxis, :, np.newaxis]
    noise = rng.normal(0, 6, (height, width, 1))
    background = np.clip(slope + noise + rng.uniform(-30, 30, 3), 0, 255).astype(np.uint8)
    picture = Image.fromarray(background)
    canvas = ImageDraw.Draw(picture)
    if name == "stripes":
        step, lean = int(rng.integers(10, 26)), int(rng.integers(-height, height))
        color = _color(rng)
        for start in range(-abs(lean), width + abs(lean), step):
            canvas.line((start, 0, start + lean, height), fill=color, width=max(3, step // 3))
        return picture
    for _ in range(int(rng.integers(4, 9))):
        radius = int(rng.integers(20, 80))
        col, row = int(rng.integers(0, width)), int(rng.integers(0, height))
        canvas.ellipse((col - radius, row - radius, col + radius, row + radius), fill=_color(rng))
    return picture.filter(ImageFilter.GaussianBlur(6))


def _color(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
    return red, green, blue


def check_classes(folder: Path) -> None:
    """Raise unless `folder` has a sub-folder for each of two classes or more."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is not an existing folder")
    if sum(entry.is_dir() for entry in folder.iterdir()) < 2:
        raise ValueError(
            f"{str(folder)!r} must have a sub-folder of pictures for each of two classes or more"
        )


@contextmanager
def pictures(folder: Path | None) -> Iterator[Path]:
    """Give the user's folder, or a drawn one that is removed afterwards."""
    if folder is not None:
        check_classes(folder)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="fastaug-demo-") as temporary:
        print("Drawing a folder of JPEG files ...", flush=True)
        draw_folder(Path(temporary))
        yield Path(temporary)


def images_per_second(iterator: Any, batches: int) -> float:
    """Time `batches` batches of an iterator."""
    started = time.perf_counter()
    images = sum(len(next(iterator)[0]) for _ in range(batches))
    return images / (time.perf_counter() - started)


def compare(folder: Path) -> None:
    """Print how fast fastaug and Keras' own generator read this folder, measured in turn."""
    from fastaug.generator import Generator  # noqa: PLC0415 - keras, only once it is needed

    options: dict[str, Any] = {
        "target_size": SIZE,
        "batch_size": BATCH,
        "class_mode": "categorical",
        "seed": 0,
    }
    print(f"\nReading, augmenting: {SIZE[0]}x{SIZE[1]}, batch {BATCH}, seed 0")
    with Generator(**STUDY).flow_from_directory(folder, **options) as ours:
        keras_generator = _keras_generator()
        images_per_second(ours, 2)  # starts the decode processes
        speeds, keras_speeds = [], []
        theirs = None
        if keras_generator is not None:
            theirs = keras_generator(**STUDY).flow_from_directory(str(folder), **options)
        for _ in range(ROUNDS):
            speeds.append(images_per_second(ours, 10))
            if theirs is not None:
                keras_speeds.append(images_per_second(theirs, 2))
    print(f"  fastaug                  {median(speeds):8.0f} images/s")
    if keras_speeds:
        print(f"  Keras ImageDataGenerator {median(keras_speeds):8.0f} images/s")
        print(f"  ratio                    {median(speeds) / median(keras_speeds):8.1f}x")
    else:
        print("  Keras ImageDataGenerator      not measured: it needs SciPy (fastaug[spline])")


def _keras_generator() -> Callable[..., Any] | None:
    """Return the installed Keras' generator, if what it needs is installed too."""
    try:
        import scipy  # noqa: F401, PLC0415 - Keras' generator imports it when it first warps
        from keras.src.legacy.preprocessing.image import ImageDataGenerator  # noqa: PLC0415
    except ImportError:
        return None
    generator: Callable[..., Any] = ImageDataGenerator
    return generator


def build_model(classes: int) -> Any:
    """Return a small convolutional network for pictures of SIZE."""
    import keras  # noqa: PLC0415 - only once it is needed

    layers = keras.layers
    model = keras.Sequential([keras.Input((*SIZE, 3))])
    model.add(layers.Conv2D(16, 5, strides=4))
    model.add(layers.BatchNormalization(momentum=0.8))
    model.add(layers.ReLU())
    for filters in (32, 64):
        model.add(layers.SeparableConv2D(filters, 3, strides=2))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(classes, activation="softmax"))
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def train(folder: Path, epochs: int) -> float:
    """Train on four fifths of a folder and return the accuracy on the rest."""
    import keras  # noqa: PLC0415 - only once it is needed

    from fastaug.generator import Generator  # noqa: PLC0415

    keras.utils.set_random_seed(0)
    options: dict[str, Any] = {"target_size": SIZE, "batch_size": BATCH}
    augmented = Generator(validation_split=0.2, **STUDY)
    plain = Generator(validation_split=0.2, rescale=1 / 255.0)
    with (
        augmented.flow_from_directory(folder, subset="training", **options) as training,
        plain.flow_from_directory(
            folder, subset="validation", shuffle=False, **options
        ) as validation,
    ):
        model = build_model(training.num_classes)
        model.fit(training, validation_data=validation, epochs=epochs)
        return float(model.evaluate(validation, verbose=0)[1])


def run(folder: Path | None, epochs: int) -> None:
    """Run the demo on a folder of class sub-folders, or on a drawn one."""
    with pictures(folder) as data:
        accuracy = train(data, epochs)
        compare(data)
    print(f"\nAccuracy on pictures that it has not seen, after {epochs} epochs: {accuracy:.2f}")
