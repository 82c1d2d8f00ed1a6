"""How fast are transforms and policies, beside those of others?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import peers_albumentations
import peers_keras
import peers_kornia
import peers_opencv
import peers_torchvision
import pytest
from policies import (
    LARGE,
    SMALL,
    TASKS,
    Task,
    as_images,
    check_fastaug,
    check_peer,
    check_pixels,
    fastaug,
    one_hot,
)

CHAINS = {
    "albumentations": ("albumentations", tuple(peers_albumentations.CHAINS)),
    "torchvision": ("torchvision", peers_torchvision.NAMES + peers_torchvision.MIXES),
    "torchvision_batch": ("torchvision", peers_torchvision.OF_BATCHES),
    "opencv": ("cv2", peers_opencv.NAMES),
    "kornia": ("kornia", peers_kornia.NAMES),
    "keras_layers": ("tensorflow", peers_keras.NAMES),
}
PAIRS = [
    (task.name, contender)
    for task in (*LARGE, *SMALL)
    for contender in ("fastaug", *CHAINS)
    if contender == "fastaug" or task.chain in CHAINS[contender][1]
]


def call_of(contender: str, task: Task, images: Any, stack: ExitStack) -> Any:
    """Return a contender for a task."""
    if contender == "fastaug":
        return fastaug(task, images)
    pytest.importorskip(CHAINS[contender][0])
    if contender == "keras_layers":
        labels = one_hot(len(images)) if task.mixes else None
        return peers_keras.contender(task.chain, images, labels, stack)
    if contender == "torchvision_batch":
        return peers_torchvision.of_batch(task, images)
    modules = {
        "albumentations": peers_albumentations,
        "torchvision": peers_torchvision,
        "opencv": peers_opencv,
        "kornia": peers_kornia,
    }
    return modules[contender].contender(task, images)


def check(contender: str, call: Any, task: Task, images: Any) -> None:
    """Check a contender's batch, as closely as it can be."""
    if contender == "fastaug":
        check_fastaug(task.transforms)
        return
    made = call(1)
    if contender == "keras_layers":
        made = call(0)  # the last one, from its process
    expected = fastaug(task, images)(1)
    if contender == "torchvision_batch":
        assert as_images(made).shape == as_images(expected).shape  # one draw says no more
        return
    check_peer(made, expected, task)
    if contender == "opencv" and task.chain in peers_opencv.TOLERANCES:
        tolerance, share = peers_opencv.TOLERANCES[task.chain]
        # Small pictures are sharper, and made smaller with antialiasing here.
        small = 5 if task in SMALL else 1
        check_pixels(made, as_images(expected), tolerance, small * share)


@pytest.mark.parametrize(("transform", "contender"), PAIRS)
@pytest.mark.benchmark(group="transforms")
def test_transforms(transform, contender, compare, pictures, one_thread_each):
    task = TASKS[transform]
    images = task.images(pictures)
    with ExitStack() as stack:
        call = call_of(contender, task, images, stack)
        check(contender, call, task, images)
        beside = None if contender == "fastaug" else ("fastaug", fastaug(task, images))
        compare(call, beside, images=task.count)
