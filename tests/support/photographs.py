"""Photographs of every kind that a viewer shows, as bytes."""

import io
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image

from support.random_models import pictures


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(pictures(1, height, width)[0])


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


PHOTOGRAPH = picture(12, 8)
GRAY = np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)
DEEP = (GRAY.astype(np.uint16) << 8) | 7


def rgb(gray: Any) -> np.ndarray:
    return np.repeat(np.asarray(gray, np.uint8)[..., None], 3, axis=-1)


def see_through(levels: np.ndarray) -> np.ndarray:
    """`GRAY` on white, by levels of opacity."""
    return rgb(np.rint((GRAY * (levels / 255.0)) + 255 - levels))


HALF = np.full_like(GRAY, 128)
FRAMES = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
RED = np.asarray(FRAMES[0])
LEVELS = bytes(range(0, 256, 17))


def palette(transparency: bytes | None) -> bytes:
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).convert("P")
    image.putpalette([level for gray in LEVELS for level in (gray,) * 3])
    return encoded(image, "png", bits=4, **({"transparency": transparency} if transparency else {}))


RAMP = np.frombuffer(LEVELS, np.uint8).reshape(4, 4)
MOVING: dict[str, Any] = {"save_all": True, "append_images": FRAMES[1:]}

# How much a value may differ: what JPEG and rounding cost.
SHOWN: dict[str, tuple[bytes, np.ndarray, int]] = {
    "black and white": (encoded(Image.fromarray(GRAY > 127), "png"), rgb(np.where(GRAY > 127, 255, 0)), 0),
    "gray": (encoded(Image.fromarray(GRAY), "png"), rgb(GRAY), 0),
    "gray JPEG": (encoded(Image.fromarray(GRAY), "jpeg", quality=100), rgb(GRAY), 3),
    "gray, half transparent": (encoded(Image.fromarray(np.dstack([GRAY, HALF])), "png"), see_through(HALF), 1),
    "gray, one level transparent": (
        encoded(Image.fromarray(GRAY), "png", transparency=0),
        rgb(np.where(GRAY == 0, 255, GRAY)),
        0,
    ),
    "16 bits": (encoded(Image.fromarray(DEEP), "png"), rgb(GRAY), 0),
    "16 bits, TIFF": (encoded(Image.fromarray(DEEP), "tiff"), rgb(GRAY), 0),
    "16 bits, big-endian TIFF": (encoded(Image.fromarray(DEEP.astype(">u2")), "tiff"), rgb(GRAY), 0),
    "16 bits in 32": (encoded(Image.fromarray(DEEP.astype(np.int32)), "tiff"), rgb(GRAY), 0),
    "16 bits, colors": (b"", np.zeros(0), 0),
    "palette": (palette(None), rgb(RAMP), 0),
    "palette, see-through": (palette(bytes([0, 255, 128])), rgb([[255, 17, 144, 51], *RAMP[1:].tolist()]), 1),
    "RGBA, see-through": (
        encoded(Image.new("RGBA", (4, 4), (10, 200, 30, 51)), "png"),
        np.full((4, 4, 3), (206, 244, 210)),
        1,
    ),
    "RGBA, opaque": (encoded(PHOTOGRAPH.convert("RGBA"), "png"), np.asarray(PHOTOGRAPH), 0),
    "RGB, one color transparent": (
        encoded(FRAMES[0], "png", transparency=(255, 0, 0)),
        np.full((4, 4, 3), 255),
        0,
    ),
    "CMYK JPEG": (encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "jpeg"), RED, 2),
    "CMYK TIFF": (encoded(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "tiff"), RED, 2),
    # Compressed: of others Pillow, before 13.0, says that they are truncated.
    "YCbCr TIFF": (
        encoded(PHOTOGRAPH.convert("YCbCr"), "tiff", compression="tiff_lzw", tiffinfo={530: (1, 1)}),
        np.asarray(PHOTOGRAPH),
        3,
    ),
    "animated GIF": (encoded(FRAMES[0], "gif", **MOVING), RED, 0),
    "animated WebP": (encoded(FRAMES[0], "webp", lossless=True, **MOVING), RED, 0),
    "animated PNG": (encoded(FRAMES[0], "png", **MOVING), RED, 0),
    "TIFF of two pages": (encoded(FRAMES[0], "tiff", **MOVING), RED, 0),
    "two in one JPEG": (encoded(FRAMES[0], "mpo", quality=100, **MOVING), RED, 3),
    "BMP": (encoded(PHOTOGRAPH, "bmp"), np.asarray(PHOTOGRAPH), 0),
}


def png(size: tuple[int, int], depth: int, rows: Iterable[bytes], *, colors: int = 0, interlaced: int = 0) -> bytes:
    """A PNG of a kind that Pillow reads and may not write: (width, height), bits per channel, and color type."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", *size, depth, colors, 0, 0, interlaced)
    lines = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def deep_colors() -> bytes:
    pixels = (np.asarray(PHOTOGRAPH).astype(np.uint16) << 8 | 9).astype(">u2")
    return png(PHOTOGRAPH.size, 16, map(np.ndarray.tobytes, pixels), colors=2)


SHOWN["16 bits, colors"] = (deep_colors(), np.asarray(PHOTOGRAPH), 0)
