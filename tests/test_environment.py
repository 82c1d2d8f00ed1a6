"""What the suite itself rests on."""

import os

from conftest import DATA


def test_ci_has_the_real_images():
    if os.environ.get("CI"):
        assert (DATA / "dogs_vs_cats" / "train" / "cat").is_dir()
        assert (DATA / "cifar10" / "cifar10_subset.npz").is_file()
        assert (DATA / "tough_images").is_dir()
