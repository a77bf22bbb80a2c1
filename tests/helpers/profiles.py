"""Small colour profiles (ICC.1, version 2): any primaries, curves, inks. Pillow makes sRGB only."""

import struct

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
D65 = (0.3127, 0.3290)
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))


def rgb_profile(primaries, white=D65, gamma: float | None = None) -> bytes:
    """Primaries and white as xy; the curve of sRGB if `gamma` is None."""
    columns = to_d50(xyz(white)) @ scaled(primaries, white)
    curve = srgb_curve() if gamma is None else curve_of(gamma)
    tags = {f"{c}XYZ": xyz_tag(columns[:, at]) for at, c in enumerate("rgb")}
    tags |= {f"{c}TRC": curve for c in "rgb"}
    return packed(b"RGB ", b"XYZ ", b"mntr", tags | {"wtpt": xyz_tag(D50)})


def grey_profile(gamma: float) -> bytes:
    return packed(b"GRAY", b"XYZ ", b"mntr", {"kTRC": curve_of(gamma), "wtpt": xyz_tag(D50)})


def cmyk_profile(ink: float) -> bytes:
    """Inks that take `ink` of the light each, in a table of two steps to Lab."""
    steps = np.stack(np.meshgrid(*[[0.0, 1.0]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    rgb = (1 - ink * steps[:, :3]) * (1 - ink * steps[:, 3:])
    lab = lab_of(rgb @ (to_d50(xyz(D65)) @ scaled(SRGB, D65)).T)
    table = np.clip(lab * [2.55, 1, 1] + np.array([0, 128, 128]), 0, 255).astype(np.uint8).tobytes()
    even = bytes(range(256))
    head = struct.pack(">4sIBBBx9i", b"mft1", 0, 4, 3, 2, *(np.eye(3).ravel() * 65536).astype(int))
    tags = {"A2B0": head + even * 4 + table + even * 3, "wtpt": xyz_tag(D50)}
    return packed(b"CMYK", b"Lab ", b"prtr", tags)


def packed(space: bytes, connection: bytes, kind: bytes, tags: dict[str, bytes]) -> bytes:
    tags = {"desc": struct.pack(">4sII5s78x", b"desc", 0, 5, b"test"), **tags}
    tags["cprt"] = b"text\0\0\0\0none\0"
    at, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        if data not in body:  # all three curves are one
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name.encode(), at + body.index(data), len(data))
    about = at + len(body), 0x02400000, kind, space, connection, b"acsp"
    head = struct.pack(">I4xI4s4s4s12x4s", *about)
    head += bytes(68 - len(head)) + struct.pack(">3i", *(D50 * 65536).round().astype(int))
    return head.ljust(128, b"\0") + table + body


def xyz(white) -> np.ndarray:
    x, y = white
    return np.array([x / y, 1, (1 - x - y) / y])


def scaled(primaries, white) -> np.ndarray:
    """(3, 3), light of each primary so that all of them are white."""
    columns = np.stack([xyz(primary) for primary in primaries], axis=1)
    return columns * np.linalg.solve(columns, xyz(white))


def to_d50(white: np.ndarray) -> np.ndarray:
    """(3, 3), after Bradford."""
    return np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD


def lab_of(light: np.ndarray) -> np.ndarray:
    """(n, 3) of CIE L*a*b*, white D50."""
    relative = np.maximum(light / D50, 0)
    f = np.where(relative > 216 / 24389, np.cbrt(relative), relative * 841 / 108 + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], 1)


def xyz_tag(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(values * 65536).round().astype(int))


def curve_of(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def srgb_curve() -> bytes:
    value = np.linspace(0, 1, 1024)
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return b"curv\0\0\0\0" + struct.pack(">I1024H", 1024, *(light * 65535).round().astype(int))
