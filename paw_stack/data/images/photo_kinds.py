"""What a photo's first bytes say of its kind, where that kind is not read or not safe to scale."""

import re

# Kinds that are read, and what their files are called.
EXTENSIONS = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png", ".apng"},
    "WEBP": {".webp"},
    "BMP": {".bmp", ".dib"},
    "GIF": {".gif"},
    "TIFF": {".tif", ".tiff"},
    "HEIF": {".heic", ".heif", ".hif"},
    "AVIF": {".avif", ".avifs"},
    "JXL": {".jxl"},
    "JPEG2000": {".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"},
}
READ = frozenset().union(*EXTENSIONS.values())
# With those that are not read: a folder's are named with the reason, not passed over.
UNREAD_ENDINGS = (
    "jls jxr psd dng raw cr2 cr3 crw nef nrw arw sr2 srf raf"
    " orf rw2 pef srw x3f 3fr iiq erf mrw kdc dcr"
)
PHOTOS = READ.union(f".{ending}" for ending in UNREAD_ENDINGS.split())

# What is known and not read, by its first bytes; a camera's raw file may be a TIFF to its header.
UNREAD: dict[re.Pattern[bytes], str] = {
    re.compile(start, re.DOTALL): name
    for start, name in {
        rb"II\*\0.{4}CR|.{4}ftypcrx|IIU\0|IIRO|FUJIFILMCCD-RAW|FOVb": "a camera's raw photo",
        rb"8BPS": "a Photoshop document",
        rb"%PDF-": "a PDF document",
        rb"\s*<(svg|\?xml|!DOCTYPE)": "an SVG, HTML or XML text",
        rb".{4}ftyp(?!avi[fs]|hei|hev|mif1|msf1|miaf)|\x1aE\xdf\xa3|RIFF.{4}AVI ": "a video",
    }.items()
}
# Kinds of JPEG that no decoder here knows: by their frame's marker, and bits a value.
LOSSLESS = b"\xff\xc3"
FRAME = re.compile(rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7])..(.)", re.DOTALL)


def unread_kind(data: bytes) -> str | None:
    """Name a kind of file that is known and not read, such as a camera's raw or a video."""
    return next((name for start, name in UNREAD.items() if start.match(data)), None)


def unread_jpeg(data: bytes) -> str | None:
    """Name a kind of JPEG that no decoder here knows."""
    at = 2 if data.startswith(b"\xff\xd8") else len(data)
    while len(data) > at + 4 and data[at] == 0xFF:
        if frame := FRAME.match(data, at):
            marker, bits = frame[1][0], frame[2][0]
            if marker == 0xF7:
                return "a JPEG-LS photo"
            if marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF):
                return "a hierarchical JPEG"
            return f"a JPEG of {bits} bits a value" if bits != 8 else None
        fill = data[at + 1] == 0xFF
        at += 1 if fill else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def may_be_lossless(data: bytes) -> bool:
    """Whether a JPEG could be a lossless one, wherever its frame's marker lies.

    libjpeg-turbo before 3.1.4.1, which simplejpeg 1.9.0 and Pillow 12.3 bundle, overruns its
    buffer when it decodes those at a reduced scale. Photos that hold the two bytes by chance are
    decoded at full scale too, which only takes longer.
    """
    return LOSSLESS in data
