# %% [markdown]
# # The study of 2017, with Keras 3 and fastaug
#
# "Accelerating Deep Learning with Multiprocess Image Augmentation in Keras" (2017) asked how much
# faster a model trains when several processes augment its images.  This is its notebook, for Keras
# 3, with `fastaug.Generator` in place of the study's fork.  It runs as a script, or cell by cell in
# an editor that knows `# %%`.
#
#     python docs/study.py            # as much as the study did
#     python docs/study.py --quick    # two minutes on two cores
#
# It needs `pip install 'fastaug[bench]'` and a backend of Keras.  `fastaug bench` measures the same
# with rounds, peers in turn and a report; here the code is in the open.

# %%
import sys
import tempfile
import time
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras.src.legacy.preprocessing.image import ImageDataGenerator

from fastaug import Generator, InputStats, SystemMonitor
from fastaug.demo import draw_folder
from fastaug.machine import usable_cores
from fastaug.study.data import load_images
from fastaug.study.models import cifar_model, photo_model

QUICK = "--quick" in sys.argv
CHARTS = Path(tempfile.gettempdir()) / "fastaug-study"
CHARTS.mkdir(exist_ok=True)
plt.switch_backend("Agg")  # charts go into files; leave this out in a notebook


def preprocess_img(img):
    img = img.astype(np.float32) / 255.0
    img -= 0.5
    return img * 2


# %% [markdown]
# ## CIFAR-10 in memory, generation only
#
# CIFAR-10 comes from `keras.datasets`; where it can't be had, gratings are drawn instead.

# %%
images = load_images(None, drawn=2000 if QUICK else 50_000)
if QUICK:
    images = images.first(2000, 400)
print(f"data: {images.origin}")

settings = {
    "rotation_range": 45,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "horizontal_flip": True,
    "fill_mode": "nearest",
    "preprocessing_function": preprocess_img,
}

# %% [markdown]
# What the model will see: each image beside its augmented version, with the drawn numbers.

# %%
preview = Generator(**settings).preview(images.x_train[:8], path=CHARTS / "preview.png")
preview  # noqa: B018 - a notebook shows it

# %% [markdown]
# The study's loop over numbers of processes, with threads: fastaug augments a whole batch in one
# parallel kernel.  Zero stands for Keras' own generator.


# %%
def seconds_for(iterator, batches):
    next(iterator)  # the first batch of all compiles the kernels
    started = time.perf_counter()
    for _ in range(batches):
        next(iterator)
    return time.perf_counter() - started


batches, rounds = (100, 3) if QUICK else (1000, 10)
durations = {}
for _ in range(rounds):
    for threads in range(usable_cores() + 1):
        if threads == 0:
            generator = ImageDataGenerator(**settings)
        else:
            generator = Generator(**settings, threads=threads)
        flow = generator.flow(images.x_train, images.y_train, seed=0)
        durations.setdefault(threads, []).append(seconds_for(flow, batches))

medians = {threads: float(np.median(values)) for threads, values in durations.items()}
speedups = {threads: medians[0] / seconds for threads, seconds in medians.items()}
for threads, seconds in medians.items():
    print(f"{threads} threads: {seconds:.3f} s, {speedups[threads]:.1f}x")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
left.plot(list(medians), list(medians.values()), marker="o")
left.set(xlabel="threads (0: Keras)", ylabel="seconds", title="time")
right.plot(list(speedups), list(speedups.values()), marker="o")
right.axhline(1, color="red", linestyle="dashed")
right.set(xlabel="threads (0: Keras)", ylabel="speedup", title="speedup")
figure.savefig(CHARTS / "generation.png")

# %% [markdown]
# The study's best was 2.01 times, with 7 processes.  Its function brings pixels to [-1, 1]; Keras
# calls that mode "tf", and fastaug does it inside the kernel when it is given by name.

# %%
fused = Generator(**(settings | {"preprocessing_function": "tf"}))
seconds = seconds_for(fused.flow(images.x_train, images.y_train, seed=0), batches)
print(f"fused: {seconds:.3f} s, {medians[0] / seconds:.1f}x")

# %% [markdown]
# ## CIFAR-10 in memory, with training
#
# The monitor samples processors and GPUs while the model trains, and `InputStats` tells how long it
# waited for its input.

# %%
train_settings = settings | {"zoom_range": [0.8, 1], "channel_shift_range": 20}


def run_benchmark(kind, batch_size, epochs):
    train = kind(**train_settings).flow(images.x_train, images.y_train, batch_size, seed=0)
    test = kind(preprocessing_function=preprocess_img).flow(images.x_test, images.y_test, 400)
    model = cifar_model(images.x_train.shape[1:], images.classes)
    callbacks = [InputStats(train, verbose=1)] if kind is Generator else []
    with SystemMonitor() as monitor:
        model.fit(
            train,
            validation_data=test,
            epochs=epochs,
            callbacks=[*callbacks, monitor],
            verbose=0,
        )
    monitor.plot(CHARTS / f"{kind.__name__}-{batch_size}.png")
    return monitor.duration


epochs = 1 if QUICK else 5
for batch_size in (256,) if QUICK else (32, 256, 1024, 4096):
    theirs = run_benchmark(ImageDataGenerator, batch_size, epochs)
    ours = run_benchmark(Generator, batch_size, epochs)
    print(f"batches of {batch_size}: {theirs:.1f} s, {ours:.1f} s, {theirs / ours:.2f}x")

# %% [markdown]
# Without a GPU the model takes nearly all of the time, and the same cores; then little is gained.
# The study's GPU made it 3.4 times.
#
# ## Cats and dogs from disk, with training
#
# The study's folders are `data/train` and `data/validation`, each with `cat` and `dog`.  Here two
# classes of photos are drawn.

# %%
folder = Path(tempfile.mkdtemp(prefix="fastaug-study-"))
draw_folder(folder, count=32 if QUICK else 1000)
size = (75, 75) if QUICK else (299, 299)


def run_photo_benchmark(kind, epochs, **options):
    generator = kind(**train_settings, validation_split=0.25, **options)
    arguments = {"target_size": size, "batch_size": 16 if QUICK else 64, "class_mode": "binary"}
    train = generator.flow_from_directory(folder, subset="training", **arguments)
    test = generator.flow_from_directory(folder, subset="validation", **arguments)
    model = photo_model(size[0])
    with SystemMonitor() as monitor:
        model.fit(train, validation_data=test, epochs=epochs, callbacks=[monitor], verbose=0)
    return monitor.duration


for name, kind, options in (
    ("Keras", ImageDataGenerator, {}),
    ("fastaug", Generator, {}),
    ("fastaug, cached", Generator, {"cache": "memory"}),
):
    keras.utils.set_random_seed(0)
    print(f"{name}: {run_photo_benchmark(kind, 2, **options):.1f} s for two epochs")

# %% [markdown]
# The study reached 3.95 times with 11 processes.

# %%
print(f"charts: {CHARTS}")
