"""Trains three small models with and without a policy, and draws their curves.

python docs/training.py                     # drawn shapes; ten minutes on two cores
python docs/training.py --data FOLDER       # with masks/pets/{images,masks} and cifar10/*.npz in it
python docs/training.py --quick             # a minute, prints only
    --page docs/training.md --figures docs/figures        # write the page and its picture
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from PIL import Image, ImageDraw

import fastaug
from fastaug import transforms as T

IGNORED = 255  # of a mask: no class
SIDE = 48


@dataclass
class Curves:
    """A measure of held-out images, and the loss of the others, by epoch."""

    measures: list[float]
    losses: list[float]

    @property
    def settled(self) -> float:
        """The mean measure of the last tenth of the epochs."""
        return float(np.mean(self.measures[-max(len(self.measures) // 10, 1) :]))


def mean_of(runs: list[Curves]) -> Curves:
    """Return the mean curves of several runs."""
    means = (
        np.mean([getattr(run, name) for run in runs], axis=0).tolist()
        for name in ("measures", "losses")
    )
    return Curves(*means)


@dataclass
class Trained:
    """What a model did with a policy and without."""

    name: str
    policy: str
    measure: str
    with_policy: Curves
    without: Curves

    def __str__(self) -> str:
        losses = self.with_policy.losses
        return (
            f"{self.name}: {self.measure} {self.with_policy.settled:.3f} with {self.policy}, "
            f"{self.without.settled:.3f} without; loss with them from {losses[0]:.3f} to "
            f"{losses[-1]:.3f}"
        )


def main() -> None:
    """Train all three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of real images")
    parser.add_argument("--quick", action="store_true", help="few epochs, drawn shapes")
    parser.add_argument("--page", type=Path, help="write the page")
    parser.add_argument("--figures", type=Path, help="draw the curves into this folder")
    options = parser.parse_args()
    epochs = 0.05 if options.quick else 1.0
    results = []
    for train in (train_unet, train_classifier, train_detector):
        results.append(train(None if options.quick else options.data, epochs))
        print(results[-1], flush=True)
    if options.figures:
        draw_curves(results, options.figures / "training.svg")
    if options.page:
        options.page.write_text(page(results, options.data), encoding="utf-8")


# Data.


def draw_shapes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw a disc, a square or a triangle on noise: images, masks, boxes (n, 1, 4), labels (n,)."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    masks, labels = np.zeros((count, SIDE, SIDE), np.uint8), rng.integers(0, 3, count)
    for image, mask, kind in zip(images, masks, labels, strict=True):
        half = int(rng.integers(5, 14))
        x, y = rng.integers(half, SIDE - half, 2)
        shape = Image.new("L", (SIDE, SIDE))
        drawing, frame = ImageDraw.Draw(shape), (x - half, y - half, x + half - 1, y + half - 1)
        if kind == 0:
            drawing.ellipse(frame, fill=1)
        elif kind == 1:
            drawing.rectangle(frame, fill=1)
        else:
            drawing.polygon([(x, frame[1]), (frame[0], frame[3]), frame[2:]], fill=1)
        mask[...] = np.asarray(shape)
        paper, ink = rng.integers(0, 200, 3), rng.integers(40, 256, 3)
        noise = rng.normal(0, 30, image.shape)
        image[...] = np.clip(np.where(mask[..., None] == 1, ink, paper) + noise, 0, 255)
    boxes = np.stack([box_of(mask) for mask in masks])[:, np.newaxis]
    return images, masks, boxes, labels


def box_of(mask: np.ndarray) -> np.ndarray:
    """Return left, top, right, bottom of what is not 0, as shares of the size."""
    rows, cols = np.nonzero(mask)
    return np.array([cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]) / SIDE


def pets(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return photos and their masks (1 is an animal), 96 pixels wide and high."""
    images, masks = [], []
    for path in sorted((folder / "masks" / "pets" / "images").iterdir()):
        mask_path = (folder / "masks" / "pets" / "masks" / path.stem).with_suffix(".png")
        with Image.open(path) as image, Image.open(mask_path) as mask:
            images.append(np.asarray(image.convert("RGB").resize((96, 96))))
            masks.append(np.asarray(mask.resize((96, 96), Image.Resampling.NEAREST)))
    classes = np.stack(masks)
    return np.stack(images), np.where(classes == IGNORED, IGNORED, classes.clip(0, 1))


# Models.


def train_unet(data: Path | None, epochs: float) -> Trained:
    """Find objects pixel by pixel; each third of the photos is held out once, one of the shapes."""
    images, masks = draw_shapes(60, seed=1)[:2] if data is None else pets(data)
    policy = [
        T.Elastic(alpha=40, sigma=8),
        T.Affine(15, translate=(0.1, 0.1), scale=(0.8, 1.2)),
        T.HorizontalFlip(),
        T.ColorJitter(0.2, 0.2, 0.2),
    ]

    def fit(transforms: list[Any], held_out: np.ndarray) -> Curves:
        generator = fastaug.Generator(transforms=transforms, rescale=1 / 255, mask_fill=IGNORED)
        batches = generator.flow(images[~held_out], masks=masks[~held_out], batch_size=5, seed=1)
        keras.utils.set_random_seed(1)
        model = unet(images.shape[1])
        measure = keras.metrics.MeanIoU(2, ignore_class=IGNORED, sparse_y_pred=False, name="iou")
        loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=IGNORED)
        model.compile(keras.optimizers.Adam(2e-3), loss, metrics=[measure])
        scaled = images[held_out] / np.float32(255), masks[held_out]
        return fitted(model, batches, scaled, round(80 * epochs), "val_iou")

    thirds = [np.arange(len(images)) % 3 == third for third in range(1 if data is None else 3)]
    with_policy, without = (
        mean_of([fit(transforms, third) for third in thirds]) for transforms in (policy, [])
    )
    words = "elastic, affine, flip, colours"
    return Trained("U-Net", words, "IoU of masks", with_policy, without)


def unet(side: int) -> keras.Model:
    """Return a U-Net of four levels."""
    source = layers.Input((side, side, 3))
    kept, flow = [], source
    for filters in (16, 32, 64):
        flow = convolved(flow, filters)
        kept.append(flow)
        flow = layers.MaxPooling2D()(flow)
    flow = convolved(flow, 96)
    for other in reversed(kept):
        flow = layers.concatenate([layers.UpSampling2D()(flow), other])
        flow = convolved(flow, other.shape[-1])
    return keras.Model(source, layers.Conv2D(2, 1, activation="softmax")(flow))


def convolved(flow: Any, filters: int) -> Any:
    """Return what two convolutions make of it."""
    for _ in range(2):
        flow = layers.Conv2D(filters, 3, padding="same", use_bias=False)(flow)
        flow = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(flow))
    return flow


def train_classifier(data: Path | None, epochs: float) -> Trained:
    """Tell classes apart, with one-hot labels that MixUp blends."""
    if data is None:
        images, _, _, labels = draw_shapes(600, seed=2)
        held_out, truth = (draw_shapes(300, seed=3)[k] for k in (0, 3))
    else:
        (path,) = (data / "cifar10").glob("*.npz")
        with np.load(path) as arrays:
            images, labels, held_out, truth = (
                arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")
            )
    classes = int(labels.max()) + 1
    targets = keras.utils.to_categorical(labels, classes)
    policy = [
        T.RandomCrop(images.shape[1], padding=4),
        T.HorizontalFlip(),
        T.MixUp(0.2),
    ]

    def fit(transforms: list[Any]) -> Curves:
        keras.utils.set_random_seed(1)
        model = classifier(images.shape[1:], classes)
        model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
        generator = fastaug.Generator(transforms=transforms, rescale=1 / 255)
        batches = generator.flow(images, targets, batch_size=64, seed=1)
        scaled = held_out / np.float32(255), keras.utils.to_categorical(truth, classes)
        return fitted(model, batches, scaled, round(40 * epochs), "val_accuracy")

    return Trained("classifier", "crop, flip, MixUp", "accuracy", fit(policy), fit([]))


def classifier(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Return a small convolutional network."""
    stack: list[Any] = [layers.Input(shape)]
    for filters in (24, 48, 96):
        stack += [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
        ]
    stack += [layers.GlobalAveragePooling2D(), layers.Dense(classes, activation="softmax")]
    return keras.Sequential(stack)


def train_detector(_: Path | None, epochs: float) -> Trained:
    """Find the box of a drawn shape, and what it is."""
    images, _, boxes, labels = draw_shapes(300, seed=4)
    held_out, _, true_boxes, true_labels = draw_shapes(300, seed=5)
    policy = [
        T.HorizontalFlip(),
        T.BoxSafeCrop(SIDE),
        T.ColorJitter(0.3, 0.3, 0.3, 0.3),
    ]

    def fit(transforms: list[Any]) -> Curves:
        keras.utils.set_random_seed(1)
        model = detector()
        losses = {"boxes": "mean_absolute_error", "labels": "sparse_categorical_crossentropy"}
        model.compile("adam", losses, metrics={"boxes": overlap})
        generator = fastaug.Generator(
            transforms=transforms, rescale=1 / 255, bounding_box_format="rel_xyxy", max_boxes=1
        )
        batches = generator.flow(
            images, boxes=boxes, box_labels=labels[:, np.newaxis], batch_size=32, seed=1
        )
        truth = {"boxes": true_boxes, "labels": true_labels[:, np.newaxis]}
        scaled = held_out / np.float32(255), truth
        return fitted(model, batches, scaled, round(80 * epochs), "val_boxes_overlap")

    return Trained("detector", "flip, crop, colours", "IoU of boxes", fit(policy), fit([]))


def detector() -> keras.Model:
    """Return a network that gives one box and one class."""
    source = flow = layers.Input((SIDE, SIDE, 3))
    for filters in (16, 32, 64):
        flow = layers.Conv2D(filters, 3, padding="same", activation="relu")(flow)
        flow = layers.MaxPooling2D()(flow)
    flow = layers.Dense(64, activation="relu")(layers.Flatten()(flow))
    boxes = layers.Reshape((1, 4), name="boxes")(layers.Dense(4, activation="sigmoid")(flow))
    return keras.Model(
        source, {"boxes": boxes, "labels": layers.Dense(3, activation="softmax")(flow)}
    )


def overlap(truth: Any, given: Any) -> Any:
    """Return intersection over union of boxes (n, 1, 4), left, top, right, bottom."""
    ops = keras.ops
    start = ops.maximum(truth[..., :2], given[..., :2])
    end = ops.minimum(truth[..., 2:], given[..., 2:])
    shared = ops.prod(ops.maximum(end - start, 0.0), axis=-1)
    areas = [ops.prod(ops.maximum(b[..., 2:] - b[..., :2], 0.0), axis=-1) for b in (truth, given)]
    return shared / (areas[0] + areas[1] - shared + 1e-9)


def fitted(model: Any, batches: Any, held_out: Any, epochs: int, measure: str) -> Curves:
    """Train, and return what was measured on held-out images after each epoch."""
    with batches:
        history = model.fit(batches, validation_data=held_out, epochs=max(epochs, 3), verbose=0)
    return Curves(*([float(v) for v in history.history[name]] for name in (measure, "loss")))


# The page.


def draw_curves(results: list[Trained], path: Path) -> None:
    """Draw a panel for each model."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only here

    figure = Figure(figsize=(10.5, 3.2), layout="constrained")
    for axes, result in zip(figure.subplots(1, len(results)), results, strict=True):
        axes.plot(result.with_policy.measures, label=result.policy)
        axes.plot(result.without.measures, label="no augmentation", color="grey")
        axes.set(title=result.name, xlabel="epoch", ylabel=f"{result.measure}, held out")
        axes.legend(frameon=False, fontsize=8)
        axes.grid(alpha=0.3)
    figure.savefig(path)


def page(results: list[Trained], data: Path | None) -> str:
    """Return the page."""
    rows = [
        f"| {each.name} | {each.policy} | {each.measure} | {each.with_policy.settled:.3f} | "
        f"{each.without.settled:.3f} |"
        for each in results
    ]
    images = "drawn shapes" if data is None else "photos (U-Net, classifier) and drawn shapes"
    return "\n".join(
        [
            "# Training with a policy",
            "",
            "<!-- Written by docs/training.py. -->",
            "",
            "Three small models, each trained twice on the same few images: once with a policy,",
            "once without. The measure is that of images that were held out: the mean of the last",
            "tenth of the epochs. For the U-Net each third of the photos is held out once.",
            "",
            "| model | policy | measure | with it | without |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            f"Data: {images}. Keras {keras.__version__} on {keras.backend.backend()}, fastaug "
            f"{fastaug.__version__}, {datetime.now().date():%-d %B %Y}.",
            "",
            "![Curves](figures/training.svg)",
            "",
        ]
    )


if __name__ == "__main__":
    main()
