"""The part of iterators that lets targets follow images: masks, boxes, points, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastaug.checks import check_flag
from fastaug.iterators.followers import Followers, given_out
from fastaug.iterators.keras_loop import Made
from fastaug.pixels.layout import size_of
from fastaug.pixels.mixing import blended_labels
from fastaug.settings import Settings
from fastaug.targets.following import Targets, follow, mix_labels
from fastaug.transforms.policy import Drawn, Policy
from fastaug.transforms.streams import Streams


class Followed:
    """The part of `BatchIterator` that knows what follows its images."""

    # What it uses of `BatchIterator`.
    data_format: str
    sample_weight: Any = None
    _label: Any
    _settings: Any
    _size: Any

    def _follow(self, followers: Followers | None, *, augment: bool) -> None:
        """Let targets follow the images, and say whether these are augmented."""
        check_flag("augment", augment)
        self._followers, self._augment = followers, bool(augment)

    def _gives_images_as_labels(self) -> bool:
        """Tell whether the labels are the images themselves, which are mixed already."""
        return False

    def _policy(self) -> Policy:
        """Return what is drawn."""
        return self._settings.policy(augment=self._augment)

    def _draw_for(self, rows: NDArray[np.intp], streams: Streams) -> Drawn:
        """Draw for the images of rows."""
        policy, boxes = self._policy(), None
        if policy.sees_boxes and self._followers is not None:
            boxes = self._followers.boxes_of(rows)
        return policy.draw(streams, len(rows), self._size, None if boxes is None else boxes.there)

    def _followed(self, rows: NDArray[np.intp], drawn: Drawn) -> Targets | None:
        """Return the targets of rows, after what was drawn."""
        if self._followers is None:
            return None
        return follow(
            self._followers.of(rows),
            drawn,
            self._settings.target_rules(),
            data_format=self.data_format,
            fill_mode=self._settings.fill_mode,
            threads=self._settings.threads,
        )

    def _with_targets(self, made: Made) -> Any:
        """Return a batch with its targets, and the labels and weights of its rows."""
        given = self._label(made.images, made.rows)
        if made.targets is None and not made.partners:
            return given
        images, labels, *weights = given if isinstance(given, tuple) else (given, None)
        if labels is None and self.sample_weight is not None and made.targets is not None:
            weights = [self.sample_weight[made.rows]]  # of the targets
        for partners in made.partners:
            if not self._gives_images_as_labels():
                labels = mix_labels(labels, partners)
            weights = [blended_labels(np.asarray(each), partners) for each in weights]
        if made.targets is not None:
            size = size_of(made.images.shape[1:], self.data_format)
            labels = given_out(self._settings, made.targets, size, labels)
        return images if labels is None else (images, labels, *weights)


def warn_of_augmented_validation(settings: Settings, subset: str | None, *, augment: bool) -> None:
    """Warn, once a generator, that a validation subset is augmented like the rest, as in Keras."""
    if subset == "validation" and augment and settings.augments():
        settings.warn_once(
            "validation",
            "the images of subset='validation' are augmented, as in Keras; augment=False keeps "
            "their size and standardisation, and changes nothing else",
        )
