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
    check_fastaug,
    check_peer,
    check_pixels,
    fastaug,
    one_hot,
)

from fastaug import Augmenter

CHAINS = {
    "albumentations": ("albumentations", tuple(peers_albumentations.CHAINS)),
    "torchvision": ("torchvision", peers_torchvision.NAMES + peers_torchvision.MIXES),
    "torchvision_batch": ("torchvision", tuple(set(peers_torchvision.NAMES) - {"affine_mask"})),
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
    call(1)
    made, expected = call(0) if contender == "keras_layers" else call(1), fastaug(task, images)(1)
    check_peer(made, expected, task)
    if contender == "opencv" and task.chain in peers_opencv.TOLERANCES:
        augmenter = Augmenter(task.transforms, seed=peers_opencv.SEED, dtype=task.dtype)
        drawn = augmenter.draw(len(images), images.shape[1:3], step=0)
        targets = {"labels": one_hot(len(images))} if task.mixes else {}
        expected = augmenter.apply(drawn, images, **targets)
        expected = expected["images"] if targets else expected
        check_pixels(made, expected, *peers_opencv.TOLERANCES[task.chain])


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
