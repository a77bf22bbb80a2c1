"""What a drawn photo shows: its traits, how they are drawn by lot, and what they are worth.

A `Portrait` holds everything that its picture needs. The score and
the metadata columns are computed from the same numbers, so picture, score and columns agree.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Colour = tuple[int, int, int]  # RGB, 0..255

METADATA = (
    "Subject Focus", "Eyes", "Face", "Near", "Action", "Accessory",
    "Group", "Collage", "Human", "Occlusion", "Info", "Blur",
)  # fmt: skip

# Trait: its mean, its SD and how many points one SD of it is worth (before the curve of `latent`).
# The first five show in a small thumbnail and carry four fifths of the variance.
APPEAL = {
    "exposure": (0.9, 0.231, 10.0),
    "blur": (0.333, 0.298, -8.0),
    "face_size": (0.285, 0.0779, 6.5),
    "warmth": (0.36, 0.203, 5.5),  # of the fur: 0 grey, 0.64 golden
    "clutter": (3.0, 2.0, -3.0),
    "eye_size": (0.24, 0.0404, 2.8),
    "eye_open": (0.765, 0.237, 4.0),
    "turned_away": (0.33, 0.19, -3.8),
    "tilt": (0.19, 0.135, -1.5),
    "soft_ears": (0.54, 0.5, 1.5),
    "companion": (0.14, 0.347, -3.0),
}


@dataclass(frozen=True)
class Pet:
    """One animal; lengths in head radii, angles in radians."""

    species: str  # cat, dog
    ears: str  # pointed, round, floppy
    ear_size: float  # 1 is usual
    eye_size: float
    eye_open: float  # 0 shut, 1 wide open
    yaw: float  # head turned away; 0 looks at the camera
    gaze: float  # pupils aside, -1..1
    fur: Colour
    marking: Colour  # of the pattern
    pattern: str  # solid, mask, patches, stripes, points
    iris: Colour
    accessory: str  # none, collar, bow
    accessory_colour: Colour
    tongue: bool


@dataclass(frozen=True)
class Portrait:
    """Everything that a photo shows; lengths are shares of the photo's short side."""

    size: tuple[int, int]  # width, height in px
    pet: Pet
    companion: Pet | None  # a second, smaller animal
    face_size: float  # radius of the head
    centre: tuple[float, float]  # of the head, shares of width and height
    tilt: float  # radians
    leaping: bool
    background: str  # room, garden, blanket, studio
    clutter: int  # objects lying about
    exposure: float  # 1 is right
    warm_cast: float  # above 0 lamp light, below 0 shade
    side_light: float  # -1 from the left, 1 from the right
    vignette: float
    blur: float  # 0 sharp, 1 worst
    hand: bool
    occlusion: str  # none, bars, ball
    info: str  # overlaid text, may be empty
    collage: bool
    texture_seed: int  # strokes, background details, grain


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made lighter (above 1) or darker."""
    r, g, b = (min(255, max(0, round(channel * factor))) for channel in colour)
    return r, g, b


def random_portrait(rng: Generator) -> Portrait:
    """A portrait with traits of its own; those that carry the score are independent draws."""
    leaping = bool(rng.random() < 0.1)
    lean = rng.uniform(0.38, 0.55) if leaping else rng.uniform(0, 0.32)
    long_side, aspect = rng.integers(220, 361), rng.uniform(0.73, 1.0)
    size = (int(long_side), int(long_side * aspect))
    company = bool(rng.random() < 0.14)
    aside = rng.choice([0.34, 0.66]) if company else rng.uniform(0.38, 0.62)
    return Portrait(
        size=size if rng.random() < 0.4 else size[::-1],
        pet=_random_pet(rng),
        companion=_random_pet(rng) if company else None,
        face_size=rng.uniform(0.15, 0.42),
        centre=(float(aside), rng.uniform(0.4, 0.54)),
        tilt=float(rng.choice([-1, 1]) * lean),
        leaping=leaping,
        background=str(rng.choice(["room", "garden", "blanket", "studio"])),
        clutter=int(rng.integers(0, 7)),
        exposure=rng.uniform(0.5, 1.3),
        warm_cast=rng.uniform(-0.08, 0.1),
        side_light=rng.uniform(-1, 1),
        vignette=rng.uniform(0, 0.45),
        blur=rng.uniform(0, 1) ** 2,  # most photos are sharp or nearly so
        hand=bool(rng.random() < 0.08),
        occlusion=str(rng.choice(["none", "bars", "ball"], p=[0.91, 0.05, 0.04])),
        info=_random_text(rng) if rng.random() < 0.07 else "",
        collage=bool(rng.random() < 0.05),
        texture_seed=int(rng.integers(2**31)),
    )


def _random_pet(rng: Generator) -> Pet:
    species = str(rng.choice(["cat", "dog"]))
    marking = [(250, 244, 236), (62, 52, 48), (120, 78, 50)][rng.integers(3)]
    irises = {
        "cat": [(126, 178, 74), (226, 178, 52), (108, 170, 214), (196, 120, 48)],
        "dog": [(112, 70, 36), (142, 92, 46), (84, 54, 34), (122, 152, 178)],
    }
    ears = {"cat": ("pointed", "pointed", "floppy"), "dog": ("pointed", "floppy", "round")}
    wide_awake, away, side = rng.random() < 0.8, rng.uniform(0, 0.66), rng.choice([-1, 1])
    return Pet(
        species=species,
        ears=ears[species][rng.integers(3)],
        ear_size=rng.uniform(0.75, 1.2),
        eye_size=rng.uniform(0.17, 0.31),
        eye_open=rng.uniform(0.75, 1.0) if wide_awake else rng.uniform(0.1, 0.55),
        yaw=float(side * away),
        gaze=float(side * 1.4 * away + rng.uniform(-0.2, 0.2)),  # eyes go where the head goes
        fur=_fur(rng),
        marking=shade(marking, rng.uniform(0.85, 1.0)),
        pattern=str(rng.choice(["solid", "mask", "patches", "stripes", "points"])),
        iris=irises[species][rng.integers(4)],
        accessory=str(rng.choice(["none", "collar", "bow"], p=[0.72, 0.18, 0.1])),
        accessory_colour=[(206, 52, 60), (54, 110, 200), (236, 120, 170), (70, 160, 120)][
            rng.integers(4)
        ],
        tongue=bool(rng.random() < 0.5),
    )


def _fur(rng: Generator) -> Colour:
    """From grey to golden by warmth, from dark to light by brightness."""
    warmth, brightness = rng.uniform(0, 1), rng.uniform(0.6, 1.25)
    grey, golden = np.array([152, 154, 158]), np.array([226, 152, 82])
    r, g, b = np.rint(grey + warmth * (golden - grey)).astype(int).tolist()
    # A golden coat saturates early; beyond this it would turn yellow.
    return shade((r, g, b), min(brightness, 1.25 - 0.2 * warmth))


def _random_text(rng: Generator) -> str:
    name = str(rng.choice(["MILO", "LUNA", "COCO", "OREO", "BELLA", "MOCHI"]))
    return f"{name} {rng.integers(2, 12)} months"


def breed(pet: Pet) -> str:
    """The class that a breeder would name: coat, ears and species, such as `golden floppy dog`."""
    warmth = 1 - pet.fur[2] / pet.fur[0]
    coat = "grey" if warmth < 0.2 else "sandy" if warmth < 0.45 else "golden"
    return f"{coat} {pet.ears} {pet.species}"


def appeal_traits(portrait: Portrait) -> dict[str, float]:
    """The traits that carry the score, as numbers; the keys of `APPEAL`."""
    pet = portrait.pet
    return {
        "exposure": portrait.exposure,
        "blur": portrait.blur,
        "face_size": portrait.face_size,
        "warmth": 1 - pet.fur[2] / pet.fur[0],
        "clutter": portrait.clutter,
        "eye_size": pet.eye_size,
        "eye_open": pet.eye_open,
        "turned_away": abs(pet.yaw),
        "tilt": abs(portrait.tilt),
        "soft_ears": float(pet.ears != "pointed"),
        "companion": float(portrait.companion is not None),
    }


def latent_score(portrait: Portrait) -> float:
    """The expected score before rounding and clipping, points."""
    traits = appeal_traits(portrait)
    points = sum(points * (traits[name] - mean) / sd for name, (mean, sd, points) in APPEAL.items())
    # Bent upwards for the right skew of real ratings; mean 38 and SD 16 points for z ~ N(0, 1).
    return float(44.5 * np.exp(0.35 * points / 17.1) - 8.3)


def metadata(portrait: Portrait) -> dict[str, int]:
    """The twelve 0/1 columns, as a person who sees the photo would fill them in."""
    pet, group = portrait.pet, portrait.companion is not None
    both_eyes = pet.eye_open > 0.35 and abs(pet.yaw) < 0.6
    focus = portrait.clutter <= 3 and portrait.face_size > 0.2 and not group
    face = abs(pet.yaw) < 0.6 and portrait.occlusion != "ball" and portrait.blur < 0.8
    near = portrait.face_size > 0.3 and not portrait.collage
    values = (
        focus, both_eyes, face, near, portrait.leaping, pet.accessory != "none",
        group, portrait.collage, portrait.hand, portrait.occlusion != "none",
        portrait.info != "", portrait.blur > 0.5,
    )  # fmt: skip
    return {name: int(value) for name, value in zip(METADATA, values, strict=True)}
