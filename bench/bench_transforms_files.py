"""How fast is a policy from JPEG files, decoded by all cores, beside PyTorch's loader?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from iterators import taking
from policies import imagenet
from study import SEED

from fastaug import Generator
from fastaug.machine import usable_cores

BATCH, AHEAD = 64, 5  # see `disk`
SIZE = (256, 256)  # what fastaug brings files to before the crop


def fastaug(photos: Any, stack: ExitStack) -> Any:
    generator = Generator(transforms=imagenet(), decode="fast", workers=usable_cores())
    iterator = generator.flow_from_directory(
        str(photos.folder), target_size=SIZE, batch_size=BATCH, class_mode="binary", seed=SEED
    )
    return taking(stack.enter_context(iterator))


class Files:
    """A data set of PyTorch: files, decoded and transformed by torchvision."""

    def __init__(self, files: list[str]) -> None:
        import peers_torchvision

        self.files, self.chain = files, peers_torchvision.chains()["imagenet"]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> Any:
        from torchvision.io import ImageReadMode, decode_jpeg, read_file

        image = decode_jpeg(read_file(self.files[place]), mode=ImageReadMode.RGB)
        return self.chain(image), place % 2


def torchvision(photos: Any, stack: ExitStack) -> Any:
    """Take batches of a loader with a process for each core, pass after pass."""
    from torch.utils.data import DataLoader, RandomSampler

    source = Files(photos.files)
    sampler = RandomSampler(source, replacement=True, num_samples=10**6)
    iterator = iter(
        DataLoader(source, BATCH, sampler=sampler, num_workers=usable_cores(), drop_last=True)
    )
    stack.callback(iterator._shutdown_workers)
    return taking(iterator)


CONTENDERS = {"fastaug": fastaug, "torchvision": torchvision}


@pytest.mark.parametrize("contender", CONTENDERS)
@pytest.mark.parametrize("transform", ["imagenet_files"])
@pytest.mark.benchmark(group="transforms")
def test_transforms_from_files(transform, contender, compare, photos):
    if contender != "fastaug":
        pytest.importorskip(contender)
    with ExitStack() as stack:
        call = CONTENDERS[contender](photos, stack)
        check(call(1))
        beside, drain_beside = None, None
        if contender != "fastaug":
            ours = fastaug(photos, stack)
            beside = "fastaug", ours
            drain_beside = ours, AHEAD
        compare(
            call,
            beside,
            images=BATCH,
            round_s=2,
            drain=lambda: call(AHEAD),
            drain_beside=drain_beside and (lambda: drain_beside[0](drain_beside[1])),
            note=photos.kind,
        )


def check(batch: Any) -> None:
    """Check shape, labels, and that values are normalised."""
    images, labels = (np.asarray(each) for each in batch)
    assert images.shape in ((BATCH, 224, 224, 3), (BATCH, 3, 224, 224))
    assert images.dtype == np.float32
    assert set(labels.tolist()) == {0, 1}
    assert abs(images.mean()) < 1
    assert 0.5 < images.std() < 2
