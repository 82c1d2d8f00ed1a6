"""What rows of a run are called in tables and charts.  A row without a name here is refused."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Group:
    """A question: its title and text, and the settings that its chart keeps to."""

    title: str
    text: str
    made: str = "images"  # what a second counts; "" where seconds themselves are the measure
    chart: dict[str, str] = field(default_factory=dict)


HEADLINE = "headline"
README_CHART = "pipeline"

GROUPS = {
    "pipeline": Group(
        "Batches from memory",
        "Images a second through `next()`, with the study's settings: turns of up to 45 degrees, "
        "shifts of a tenth, flips and rescaling; for photos also zooms and a channel shift. The "
        "source is uint8.",
    ),
    "disk": Group(
        "Batches from JPEG files",
        "Images a second through `next()`, with the study's settings: photos in a folder of class "
        "sub-folders, brought to 299x299, in batches of 64. The files are in the system's cache. "
        "The two that keep decoded images have kept all of them before: each pass over the folder "
        "is by a new iterator, which looks up and checks every image, or by one that has them in "
        "memory.",
    ),
    "warp": Group(
        "Warp",
        "One batch is turned, shifted, rescaled to float32 and, from 224x224 on, zoomed. "
        "Albumentations and Keras' layers draw their own numbers.",
        chart={"fill_mode": "nearest"},
    ),
    "pointwise": Group(
        "Pointwise",
        "One number is added to all pixels of an image and clipped to its range; then it is "
        "rescaled to float32.",
    ),
    "flip": Group(
        "Flip", "Half of a batch is flipped left to right, and all given out in float32."
    ),
    "draw": Group("Draw", "The random numbers of a batch, with the study's settings for photos."),
    "feed": Group(
        "Feed",
        "`fit` of a model that averages all pixels, on TensorFlow, 32x32 in batches of 256 and "
        "299x299 in batches of 64. A constant tensor needs no one to make it: it is the limit.",
    ),
    "floor": Group(
        "Floor", "A batch's bytes are read and written as float32, and nothing is done to them."
    ),
    "import": Group(
        "Import",
        "A whole process that imports a generator and ends. `from fastaug import Generator` "
        "imports Keras, with the backend TensorFlow; `import fastaug` alone does not.",
        made="",
    ),
    "transforms": Group(
        "Transforms",
        "Images a second of `Augmenter`, and of others that do the same to the same batch: 64 "
        "images of 224x224, or 256 of 32x32, bytes in and out. The number in brackets is "
        "fastaug's ratio: above 1x fastaug is faster. All have one thread; from files, all "
        "cores. Albumentations and torchvision v2 (on uint8 tensors, bilinear) are called image "
        'by image, which is how images of a batch get different numbers; "one draw" is '
        "torchvision on a whole batch whose images all get the same. OpenCV is by hand, one "
        "warp for all moves, and has its numbers beforehand. Kornia and Keras layers "
        "(TensorFlow, a compiled graph) work on float32. Five moves are five warps in all but "
        "fastaug and OpenCV. RandAugment is `SomeOf` in Albumentations. OpenCV, Albumentations "
        "and Kornia don't antialias a crop. MixUp gives float32, and torchvision mixes a batch "
        "by one number. Files are photos of about 500x375: fastaug brings them to 256x256 "
        "before it crops them, torchvision crops what it decoded.",
    ),
    "first policy": Group(
        "First batch of a policy",
        "A whole process that imports, makes its batches of 32 images of 64x64 and ends; Keras' "
        "backend is TensorFlow. Kernels are compiled once for each machine and kept.",
        made="",
    ),
    "first batch": Group(
        "First batch",
        "A whole process that imports, makes one batch of 32x32 images and ends. Kernels are "
        "compiled once for each machine and kept.",
        made="",
    ),
}

# Rows of the table of transforms: their stage, and what is done.
TRANSFORMS = {
    "rotate": ("moves", "rotate"),
    "affine": ("moves", "affine"),
    "flip": ("moves", "flip"),
    "perspective": ("moves", "perspective"),
    "five_moves": ("moves", "five moves"),
    "crop": ("moves", "random resized crop, 400x350 to 224x224"),
    "affine_mask": ("moves", "affine, image and mask"),
    "jitter": ("colours", "colour jitter of four"),
    "equalize": ("colours", "equalize"),
    "blur": ("repaints", "Gaussian blur, 5x5"),
    "noise": ("repaints", "Gaussian noise"),
    "erase": ("repaints", "erasing, half of the images"),
    "mixup": ("mixes", "MixUp"),
    "cutmix": ("mixes", "CutMix"),
    "rand_augment": ("policies", "RandAugment(2, 9)"),
    "imagenet": ("policies", "crop, flip, jitter, RandAugment, erasing, normalize"),
    "imagenet_files": ("policies", "the same from JPEG files"),
    "flip_32": ("32x32", "flip"),
    "affine_32": ("32x32", "affine"),
    "five_moves_32": ("32x32", "five moves"),
    "jitter_32": ("32x32", "colour jitter of four"),
    "rand_augment_32": ("32x32", "RandAugment(2, 9)"),
}

CONTENDERS = {
    "fastaug": "fastaug",
    "fastaug_one_thread": "fastaug, one thread",
    "fastaug_still": "fastaug, nothing drawn",
    "fastaug_uncompiled": "fastaug, nothing compiled yet",
    "fastaug_import": "`import fastaug` alone",
    "fastaug_workers_0": "fastaug, `workers=0`",
    "fastaug_workers_1": "fastaug, `workers=1`",
    "fastaug_workers_2": "fastaug, `workers=2`",
    "fastaug_cache_memory": 'fastaug, `cache="memory"`',
    "fastaug_cache_folder": "fastaug, `cache=` a folder",
    "fastaug_exact": 'fastaug, `decode="exact"`',
    "fastaug_undisturbed": "fastaug, none killed",
    "keras": "Keras `ImageDataGenerator`",
    "keras_layers": "Keras layers",
    "scipy": "SciPy, by channel",
    "numpy": "NumPy",
    "numpy_bare": "as many bare doubles",
    "opencv": "OpenCV",
    "albumentations": "Albumentations",
    "albumentations_pool": "Albumentations, all cores",
    "torchvision": "torchvision",
    "torchvision_batch": "torchvision, one draw",
    "kornia": "Kornia",
    "plain_uncompiled": "`Generator` without transforms, nothing compiled yet",
    "policy_uncompiled": "a policy, nothing compiled yet",
    "policies_uncompiled": "that policy and another one, nothing compiled yet",
    "plain": "`Generator` without transforms",
    "policy": "a policy",
    "constant_tensor": "a constant tensor",
    "constant_batches": "the same arrays again and again",
    "floor_one_thread": "bare conversion, one thread",
    "floor_all_threads": "bare conversion, all threads",
    "interpreter": "an empty interpreter",
    "interpreter_decoders": "an interpreter with NumPy, Pillow and simplejpeg",
    "tf_data": "Keras layers, `image_dataset_from_directory`",
    "decode_loop": "a loop over `simplejpeg.decode_jpeg`",
    "decode_resize_loop": "a loop over simplejpeg and Pillow's resize",
}
OURS = "fastaug"

# How a parameter of a benchmark reads in a table.
SETTINGS = {
    "size": ("size", "{0}x{0}"),
    "batch": ("batch", "{0}"),
    "fill_mode": ("fill mode", "`{0}`"),
    "transform": ("transform", "{0}"),
}

MEASURES = {
    "next_32_batch_32": "`next()`, 32x32, batch 32",
    "next_32_batch_256": "`next()`, 32x32, batch 256",
    "next_32_function": "`next()`, 32x32, batch 32, with a `preprocessing_function` in Python",
    "next_299_photos": "`next()`, 299x299, batch 64",
    "warp_over_opencv": "warp, 299x299, one thread, beside `warpAffine` and `LUT` on one",
    "warp_over_floor": "warp, 299x299, one thread, beside the bare conversion of its bytes",
    "two_threads": "warp, 299x299, two threads beside one",
    "fit_32": "`fit` of a trivial model, 32x32, batch 256",
    "fit_299": "`fit` of a trivial model, 299x299, batch 64",
    "memory_1gb": "peak memory of `flow(x)` above an array of 1 GB",
    "next_jpeg_299": "`next()` from JPEG files, 299x299, batch 64",
    "next_jpeg_299_cached": "`next()` from JPEG files, 299x299, batch 64, from the second epoch on "
    'with `cache="memory"`',
    "decode_only": "decoding JPEG files, two processes beside a loop in one",
    "decode_resize": "decoding and resizing them to 299x299, two processes beside a loop in one",
    "parent_overhead": "processor time of the main process for 1,000 images that are decoded",
    "first_batch_disk": "a new iterator over JPEG files, to its first batch, 299x299, batch 64",
    "photos_12mp_fast": 'photos of 12 megapixels to 224x224, one process, `decode="fast"`',
    "killed_worker": "two epochs from JPEG files, a decode process killed in the middle",
    "worker_memory": "memory of a decode process after two epochs, with what it shares",
}
