"""Which convolutional encoder a policy that sees images begins with, and what a batch of images takes."""

from collections.abc import Mapping
from typing import Any, Literal

from haepo_bench.errors import ParameterError
from haepo_bench.objectives.hyperparameters import hyper
from haepo_bench.policies.encoders import ENCODERS, Pixels
from haepo_bench.policies.network import Seen
from haepo_bench.tasks.base import Task
from haepo_bench.tasks.images import MOST_PIXELS, Image

EncoderName = Literal["none", "minatar", "nature"]

#: Bytes of a batch of images that are the most to be kept at a time.
_MOST_BYTES = 2 << 30


def encoder_parameter() -> Any:
    """The hyper-parameter, for the settings of what trains small policies."""
    return hyper(
        "none",
        "convolutional layers that a policy begins with; on images by default nature (84 x 84, Mnih et al. 2015: 32 "
        "filters 8 x 8, 64 of 4 x 4, 64 of 3 x 3, 512 units) where both sides have 36 pixels, else minatar (Young and "
        "Tian 2019: 16 filters 3 x 3, 128 units), and no hidden layers behind it",
        omit_at="none",
    )


def fitting(image: Image | None) -> EncoderName:
    """The encoder for an image of that size."""
    if image is None:
        return "none"
    return "nature" if min(image.height, image.width) >= ENCODERS["nature"].smallest else "minatar"


def described(image: Image) -> str:
    """The encoder for an image in words, for `describe`."""
    name = fitting(image)
    encoder = ENCODERS[name]
    layers = ", ".join(f"{c.filters} filters {c.kernel} x {c.kernel}" for c in encoder.convolutions)
    return f"{name}: {layers}, {encoder.dense} units (`encoder` of each algorithm says otherwise)"


def defaults_on(task: Task, overrides: Mapping[str, Any], layers: str) -> dict[str, Any]:
    """Defaults that hold on tasks that show images, unless the user has another encoder or none.

    Args:
        layers: the hyper-parameter that says which hidden layers stand behind the encoder.
    """
    name = overrides.get("encoder", fitting(task.image))
    return {} if name == "none" else {"encoder": name, layers: ()}


def check_encoder(task: Task, name: EncoderName) -> None:
    """Refuses what an encoder cannot see, and images without one that are too large for that.

    Raises:
        ParameterError: says why.
    """
    image = task.image
    features = task.observation_space.shape[0]
    if name == "none":
        if image is not None and features > MOST_PIXELS:
            raise ParameterError(
                "encoder",
                f"a fully connected network would see {features:,} pixels",
                remedy=f"leave encoder out: the default is {fitting(image)}",
            )
        return
    if image is None:
        raise ParameterError(
            "encoder", f"{task.id} does not show images, but {features} numbers", remedy="leave encoder out"
        )
    if task.normalise is not None and task.normalise.observations:
        raise ParameterError(
            "encoder",
            f"{name} sees pixels, which are never normalised one by one, and {task.id} normalises observations",
            remedy="normalise rewards alone (`normalise:` of the task), or encoder: none",
        )
    if min(image.height, image.width) < ENCODERS[name].smallest:
        raise ParameterError(
            "encoder",
            f"{name} needs {ENCODERS[name].smallest} pixels a side at least; {task.id} shows {image.described}",
            remedy=f"leave encoder out: the default is {fitting(image)}",
        )


def check_memory(task: Task, parameter: str, steps: int, remedy: str) -> None:
    """Refuses batches of images that would not fit in memory.

    Args:
        parameter: that decides how many steps are kept.
        steps: of a seed's batch, at most.

    Raises:
        ParameterError: says how much it would be.
    """
    if task.image is None:
        return
    needed = steps * task.observation_space.shape[0] * task.image.pixel_bytes
    if needed > _MOST_BYTES:
        raise ParameterError(
            parameter,
            f"a batch of up to {steps:,} steps of {task.image.described} takes up to {needed / 2**30:.1f} GiB, and "
            f"{_MOST_BYTES / 2**30:.0f} GiB are the most",
            remedy=remedy,
        )


def inputs_of(task: Task, encoder: EncoderName) -> int | Seen:
    """What a network of a task takes: features, or images with their encoder."""
    image = task.image
    if encoder == "none" or image is None:
        return int(task.observation_space.shape[0])
    return Seen(ENCODERS[encoder], Pixels(image.height, image.width, image.channels, image.channels_first, image.scale))


def step_numbers(task: Task) -> int:
    """Single-precision numbers that an observation takes in a batch: as collected, as packed, and copies of both."""
    features = task.observation_space.shape[0]
    return 4 * features if task.image is None else -(-task.image.pixel_bytes * features * 3 // 4)
