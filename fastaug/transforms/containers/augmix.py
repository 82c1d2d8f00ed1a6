"""AugMix: chains of operations, blended with the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag, check_integer, check_number
from fastaug.kernels.batch import Finish, Layout
from fastaug.kernels.launch import launch_shares
from fastaug.kernels.mixing import blend_stack
from fastaug.kernels.policy import make_images
from fastaug.transforms.arguments import Written
from fastaug.transforms.containers.operations import (
    CODES,
    FACTORS,
    MOVES,
    SHARPNESS,
    Operations,
    magnitudes,
    pull_of,
    sharpen_drawn,
    steps_of,
    with_signs,
)
from fastaug.transforms.geometry import Size
from fastaug.transforms.program import check_channels, needs_scalars, program_of
from fastaug.transforms.repaints.planes import working_dtype

_STRENGTHS = 10
_LONGEST = 3  # a chain of a drawn length
_SPACE = dict.fromkeys((*FACTORS, SHARPNESS), 0.9) | {
    "ShearX": 0.3,
    "ShearY": 0.3,
    "TranslateX": 1 / 3,
    "TranslateY": 1 / 3,
    "Rotate": 30.0,
    "Posterize": 0,
    "Posterize from": 4,
}
_ALL = (*MOVES, *(name for name in CODES if name != "Invert"), SHARPNESS)
_PARTIAL = tuple(name for name in _ALL if name not in (*FACTORS, SHARPNESS))


class ChainNumbers(NamedTuple):
    """Of n images and w chains of d operations: see `Operations`; and how they are blended."""

    names: NDArray[np.str_]  # (n, w, d), "" where a chain has ended
    values: NDArray[np.float64]
    shares: NDArray[np.float64]  # (n, 1 + w): the image's own, and each chain's


@dataclass(frozen=True, slots=True, repr=False)
class AugMix(Written):
    """Blend an image with what chains of random operations make of it, drawn for each image.

    It repaints: masks, boxes and points stay as they are, though operations of a chain may move
    pixels.

    Parameters
    ----------
    severity
        How strong the operations are at most, from 1 to 10.
    mixture_width
        How many chains there are.
    chain_depth
        How many operations each has; -1 draws 1 to 3.
    alpha
        Of the distributions Dirichlet(alpha, ...) that weigh the chains, and Beta(alpha, alpha)
        that weighs the image beside them.
    all_ops
        Whether brightness, colour, contrast and sharpness are among the operations.
    probability
        Share of the images that it is done to.

    References
    ----------
    Hendrycks et al., "AugMix", ICLR 2020; torchvision 0.29, `v2.AugMix`, whose choices are the same
    for all images of a batch.  Of a chain, moves are one warp, then come colours, then sharpness.

    Examples
    --------
    >>> AugMix(severity=5)
    AugMix(5)
    """

    severity: int = 3
    mixture_width: int = 3
    chain_depth: int = -1
    alpha: float = 1.0
    all_ops: bool = True
    probability: float = 1.0

    def __post_init__(self) -> None:
        check_integer(self._called("severity"), self.severity, minimum=1, maximum=_STRENGTHS)
        check_integer(self._called("mixture_width"), self.mixture_width, minimum=1)
        check_integer(self._called("chain_depth"), self.chain_depth, minimum=-1)
        if self.chain_depth == 0:
            raise ValueError(
                f"{self._called('chain_depth')}=0 must be at least 1, or -1 for 1 to 3"
            )
        check_number(self._called("alpha"), self.alpha)
        if self.alpha <= 0:
            raise ValueError(f"{self._called('alpha')}={self.alpha!r} must be above 0")
        check_flag(self._called("all_ops"), self.all_ops)
        self._check_probability()

    def draw(self, rng: np.random.Generator, count: int, size: Size) -> ChainNumbers:
        """Draw the operations of each chain, their strengths, and the shares."""
        width, depth = self.mixture_width, max(self.chain_depth, 0) or _LONGEST
        # A stream each: how many numbers a beta distribution takes is not known before.
        uniform, of_images, of_chains = rng.spawn(3)
        u = uniform.random((count, width, 1 + 3 * depth))
        own = of_images.beta(self.alpha, self.alpha, count)[:, np.newaxis]
        weights = of_chains.dirichlet([self.alpha] * width, count)
        choices = _ALL if self.all_ops else _PARTIAL
        chosen = np.floor(u[..., 1 : 1 + depth] * len(choices)).astype(np.intp)
        strength = np.floor(u[..., 1 + depth : 1 + 2 * depth] * self.severity).astype(np.intp)
        table = np.stack([magnitudes(name, _STRENGTHS, size, _SPACE) for name in choices])
        names = np.array(choices)[chosen]
        values = with_signs(names, table[chosen, strength], u[..., 1 + 2 * depth :])
        if self.chain_depth == -1:
            ends = 1 + np.floor(u[..., :1] * _LONGEST)
            names = np.where(np.arange(depth) < ends, names, "")
        return ChainNumbers(names, values, np.concatenate([own, (1 - own) * weights], axis=1))

    def apply(self, images: NDArray[Any], numbers: ChainNumbers, rows: NDArray[np.intp]) -> None:
        """Blend the images of rows with their chains."""
        names: NDArray[Any] = np.asarray(numbers.names)[rows]
        values: NDArray[Any] = np.asarray(numbers.values)[rows]
        shares: NDArray[Any] = np.asarray(numbers.shares)[rows]
        count, width, depth = names.shape
        # The images, and behind them what each of the first chains makes, of the second, ...
        stack = np.empty((1 + width, count, *images.shape[1:]), images.dtype)
        stack[0] = images[rows]
        chains = Operations(
            np.swapaxes(names, 0, 1).reshape(-1, depth),
            np.swapaxes(values, 0, 1).reshape(-1, depth),
        )
        made = stack[1:].reshape(-1, *images.shape[1:])
        _run(stack[0], np.tile(np.arange(count), width), chains, made)
        sharpen_drawn(made, chains, np.arange(len(made)))
        out = np.empty((count, stack[0, 0].size), images.dtype)
        launch_shares(
            blend_stack,
            stack.reshape(1 + width, count, -1),
            shares.astype(working_dtype(images)),
            out,
            min(numba.get_num_threads(), count),
        )
        images[rows] = out.reshape(count, *images.shape[1:])


def _run(
    images: NDArray[Any], rows: NDArray[np.intp], chains: Operations, out: NDArray[Any]
) -> None:
    """Do chains to images (n, height, width, channels), but for their sharpness."""
    height, width, channels = images.shape[1:]
    layout = Layout(height, width, channels, False, height, width)
    kind = working_dtype(images)
    finish = Finish(np.empty(0, np.int8), np.empty((0, 1), kind), False, False, 0)
    pull, steps = pull_of(chains, (height, width)).tidied(), steps_of(chains).tidied()
    check_channels(steps, channels)
    program = program_of(1, "constant", 0.0, pull, steps, layout, finish)
    scalar = needs_scalars(layout, kind)
    threads = min(numba.get_num_threads(), len(rows))
    launch_shares(make_images, images, rows, program, layout, finish, scalar, out, threads)
