"""What the study of 2017 did and found.  Imports little: processes of a pool read it too.

"Accelerating Deep Learning with Multiprocess Image Augmentation in Keras", Patrick Rodriguez, 2017:
a fork of Keras 1.2 whose ImageDataGenerator took a `pool=`, on six cores (twelve threads) of an
Intel i7-6850K with an NVIDIA TITAN X Pascal.
"""

from __future__ import annotations

from typing import Any

SEED = 0

# Generation only.
GENERATE: dict[str, Any] = {
    "rotation_range": 45,
    "width_shift_range": 0.1,
    "height_shift_range": 0.1,
    "horizontal_flip": True,
}
# Training, in memory and from disk.
TRAIN: dict[str, Any] = GENERATE | {"zoom_range": [0.8, 1], "channel_shift_range": 20}

GENERATE_BATCH, GENERATE_BATCHES = 32, 1000
TRAIN_BATCHES = (32, 256, 1024, 4096)
DISK_SIZE, DISK_BATCH = 299, 64

# Times faster than one process without a pool; means of the study's ten rounds by number of
# processes for generation, one run each for training.
SPEEDUP_BY_PROCESSES = {
    0: 1.0,
    1: 0.69,
    2: 1.12,
    3: 1.33,
    4: 1.50,
    5: 1.68,
    6: 1.94,
    7: 2.01,
    8: 1.78,
    9: 1.86,
    10: 1.82,
    11: 1.85,
    12: 1.87,
}
GENERATE_SPEEDUP = 2.01  # with 7 processes
TRAIN_SPEEDUP = {32: 1.88, 256: 3.33, 1024: 3.48, 4096: 3.41}  # with 7 processes
SWEEP_SPEEDUP = 3.51  # batches of 4096, with 9 processes
DISK_SPEEDUP = 3.95  # with 11 processes


def preprocess(image: Any) -> Any:
    """Bring pixels to [-1, 1], as the study's `preprocessing_function` does."""
    return ((image / 255.0) - 0.5) * 2
