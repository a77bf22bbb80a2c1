"""Colour profiles: pixels as of the whole photo in sRGB; sRGB is left alone; broken ones told."""

import io
import zlib

import numpy as np
import pytest
from helpers.photos import HEIC, chunk, damaged, distance, encoded, expected, picture, segment
from helpers.profiles import ADOBE, P3, PROPHOTO, SRGB, cmyk_profile, grey_profile, rgb_profile
from PIL import Image, ImageCms

from paw_stack.data.images.cache import cached_photos
from paw_stack.data.images.decode import decode_with_facts
from paw_stack.data.images.decode_pool import decode_isolated

SIZE = 100
PROFILES = {
    "Display P3": rgb_profile(P3),
    "Adobe RGB": rgb_profile(ADOBE, gamma=2.2),
    "ProPhoto": rgb_profile(PROPHOTO, white=(0.3457, 0.3585), gamma=1.8),
}
KINDS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The whole photo, by Pillow alone."""
    if image.mode not in ("L", "CMYK"):
        image = image.convert("RGB")
    srgb = ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")


def large() -> Image.Image:
    """Photos are reduced while they are decoded, where they can be."""
    return picture(420, 300)


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("kind", KINDS)
def test_colours_are_those_of_the_whole_photo_in_srgb(kind, name, resize):
    profile = PROFILES[name]
    data = encoded(large(), kind, icc_profile=profile, **KINDS[kind])
    facts, found = decode_isolated(data, SIZE, resize)
    assert (facts.profile, facts.reason) == ("converted", "")
    wanted = expected(in_srgb(Image.open(io.BytesIO(data)), profile), SIZE, resize)
    assert distance(found, wanted) < 1
    assert distance(found, expected(large(), SIZE, resize)) > 3, "the profile is nothing to see"


def test_a_heic_of_a_phone_is_turned_to_srgb():
    facts, found = decode_isolated(HEIC["heic p3"], SIZE, "squash")
    assert facts.profile == "converted"
    wanted = expected(in_srgb(picture(), PROFILES["Display P3"]), SIZE)
    assert distance(found, wanted) < 3.5
    assert distance(found, expected(picture(), SIZE)) > distance(found, wanted) + 2


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_inks_are_those_of_their_own_profile(kind):
    profile, image = cmyk_profile(0.8), large().convert("CMYK")
    data = encoded(image, kind, icc_profile=profile)
    facts, found = decode_isolated(data, SIZE, "crop")
    assert facts.profile == "converted"
    wanted = expected(in_srgb(Image.open(io.BytesIO(data)), profile), SIZE, "crop")
    assert distance(found, wanted) < 1
    assert distance(found, expected(image, SIZE, "crop")) > 10


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_grey_of_another_curve_is_turned_to_grey_of_srgb(kind):
    profile = grey_profile(1.4)
    data = encoded(large().convert("L"), kind, icc_profile=profile)
    facts, found = decode_isolated(data, SIZE, "squash")
    assert facts.profile == "converted"
    assert (found == found[..., :1]).all()
    assert distance(found, expected(in_srgb(large().convert("L"), profile), SIZE)) < 1.5


def test_a_photo_is_turned_upright_and_to_srgb_alike():
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = PROFILES["Display P3"]
    data = encoded(picture(), "PNG", icc_profile=profile, exif=exif.tobytes())
    upright = in_srgb(picture(), profile).rotate(-90, expand=True)
    assert distance(decode_isolated(data, SIZE, "squash")[1], expected(upright, SIZE)) < 1


@pytest.mark.parametrize(
    "profile",
    [
        rgb_profile(SRGB),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["as a table", "of littleCMS"],
)
def test_srgb_is_left_alone_to_the_last_bit(profile):
    facts, found = decode_isolated(encoded(large(), "JPEG", icc_profile=profile), SIZE, "crop")
    assert facts.profile == ""
    assert np.array_equal(found, decode_isolated(encoded(large(), "JPEG"), SIZE, "crop")[1])


def with_chunk(body: bytes) -> bytes:
    """A PNG with this iCCP chunk."""
    data = encoded(large(), "PNG")
    return data[:33] + chunk(b"iCCP", body) + data[33:]


def with_segment(number: int, of: int) -> bytes:
    """A JPEG with one part of a profile alone."""
    part = b"ICC_PROFILE\0" + bytes([number, of]) + PROFILES["Adobe RGB"][:200]
    data = encoded(large(), "JPEG", quality=95)
    return data[:2] + segment(0xE2, part) + data[2:]


BROKEN = {
    "noise": encoded(large(), "PNG", icc_profile=np.random.default_rng(0).bytes(500)),
    "empty": encoded(large(), "TIFF", icc_profile=b"\0"),
    "cut short": encoded(large(), "JPEG", quality=95, icc_profile=rgb_profile(P3)[:300]),
    "of inks": encoded(large(), "JPEG", quality=95, icc_profile=cmyk_profile(0.8)),
    "of grey": encoded(large(), "PNG", icc_profile=grey_profile(1.0)),
    "no zlib": with_chunk(b"icc\0\0no zlib"),
    "packed and cut": with_chunk(b"icc\0\0" + zlib.compress(rgb_profile(P3))[:200]),
    "a part missing": with_segment(1, 2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_profile_is_ignored_and_told(name):
    facts, found = decode_isolated(BROKEN[name], SIZE, "crop")
    assert (facts.profile, facts.reason) == ("ignored", "")
    assert distance(found, expected(large(), SIZE, "crop")) < 1


def test_spoilt_profiles_cost_no_photo(pool):
    rng, outcomes = np.random.default_rng(3), set()
    for number in range(150):
        whole = [*PROFILES.values(), grey_profile(1.4), cmyk_profile(0.8)][number % 5]
        mode = "CMYK" if number % 5 == 4 else "RGB"
        profile = damaged(whole, rng)
        data = encoded(picture().convert(mode), "JPEG", icc_profile=profile)
        facts, found = decode_isolated(data, SIZE, "crop")
        assert (facts.reason, found is None) == ("", False), profile
        outcomes.add(facts.profile)
    assert outcomes >= {"converted", "ignored"}


def test_the_wall_changes_no_pixel_and_takes_no_profile_for_anothers():
    photos = [encoded(large(), "JPEG", icc_profile=p) for p in PROFILES.values()]
    photos.insert(1, encoded(large(), "JPEG"))
    for data in photos * 3:
        facts, found = decode_isolated(data, SIZE, "crop")
        told, pixels = decode_with_facts(data, SIZE, "crop")
        assert facts == told
        assert np.array_equal(found, pixels)


def test_the_cache_tells_what_became_of_each_profile(tmp_path):
    photos = {"a.png": encoded(large(), "PNG"), "b.png": BROKEN["noise"]}
    photos["c.png"] = encoded(large(), "PNG", icc_profile=PROFILES["ProPhoto"])
    for name, data in photos.items():
        (tmp_path / name).write_bytes(data)
    paths = [tmp_path / name for name in photos]
    for _ in range(2):  # made, and read back
        table = cached_photos(paths, SIZE, "crop", tmp_path / "cache").table
        assert table["profile"].tolist() == ["", "ignored", "converted"]
