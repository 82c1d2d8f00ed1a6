"""Kornia's counterparts of the policies: whole batches of float32, each image with its own draw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peers_torchvision import tensors_of
from policies import AFFINE, CLASSES, JITTER, Task

NAMES = (
    "rotate",
    "affine",
    "flip",
    "perspective",
    "five_moves",
    "crop",
    "jitter",
    "equalize",
    "blur",
    "noise",
    "erase",
    "mixup",
    "cutmix",
)


def layers_of(name: str) -> list[Any]:
    """Return the layers of a policy."""
    import kornia.augmentation as K

    def perspective() -> Any:
        return K.RandomPerspective(0.3, p=1.0)

    made: dict[str, Callable[[], list[Any]]] = {
        "rotate": lambda: [K.RandomRotation(30.0, p=1.0)],
        "affine": lambda: [
            K.RandomAffine(
                float(AFFINE["degrees"]),
                AFFINE["translate"],
                AFFINE["scale"],
                tuple(map(float, AFFINE["shear"])),
                p=1.0,
            )
        ],
        "flip": lambda: [K.RandomHorizontalFlip(p=0.5)],
        "perspective": lambda: [perspective()],
        "five_moves": lambda: [
            K.RandomRotation(30.0, p=1.0),
            K.RandomAffine(0.0, translate=(0.1, 0.1), p=1.0),
            K.RandomAffine(0.0, scale=(0.8, 1.2), p=1.0),
            K.RandomAffine(0.0, shear=(-10.0, 10.0), p=1.0),
            perspective(),
        ],
        "crop": lambda: [K.RandomResizedCrop((224, 224), p=1.0)],
        "jitter": lambda: [K.ColorJitter(*JITTER, p=1.0)],
        "equalize": lambda: [K.RandomEqualize(p=1.0)],
        "blur": lambda: [K.RandomGaussianBlur((5, 5), (0.1, 2.0), p=1.0)],
        "noise": lambda: [K.RandomGaussianNoise(0.0, 0.1, p=1.0)],
        "erase": lambda: [K.RandomErasing((0.02, 0.33), (0.3, 3.3), p=0.5)],
        "mixup": lambda: [K.RandomMixUpV2(data_keys=["input", "class"], p=1.0)],
        "cutmix": lambda: [K.RandomCutMixV2(data_keys=["input", "class"], p=1.0)],
    }
    return made[name]()


def contender(task: Task, images: Any) -> Callable[[int], Any]:
    """Convert the bytes, which Kornia does not take, and call the layers once."""
    import torch

    chain = torch.nn.Sequential(*layers_of(task.chain))
    tensors, labels = tensors_of(images), torch.arange(len(images)) % CLASSES

    def run() -> Any:
        batch = tensors.float() / 255
        return chain[0](batch, labels)[0] if task.mixes else chain(batch)

    def call(calls: int) -> Any:
        with torch.no_grad():
            for _ in range(calls):
                batch = run()
        return batch

    return call
