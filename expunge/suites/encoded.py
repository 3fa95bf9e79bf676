"""Encoded pictures as arrays: what their format says of levels, palettes and transparency becomes what they hold.

All pictures of a data set become one kind: grey or in colour, of 8 or of 16 bits.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from expunge.engine import warn
from expunge.errors import BadData
from expunge.number_files import SMALL
from expunge.outside import UNREADABLE, first_line, read_bytes

if TYPE_CHECKING:
    from PIL.Image import Image

PIXELS = 1 << 24  # of one picture
PICTURES = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")  # the formats that are read
PACKED_PICTURES = 64  # how many times their own size pictures may unpack to
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N")  # modes of grey pictures of 16 bits
_WHITE_IS_ZERO = 262, 0  # a tag of TIFF, and what it is where dark is written as large numbers

Encoded = bytes | Path


@dataclass(frozen=True)
class Kind:
    """What pictures hold: grey levels or colours, of 8 bits or, where they are ``deep``, of 16."""

    grey: bool
    deep: bool

    @property
    def dtype(self) -> type:
        return np.uint16 if self.deep else np.uint8


def kind_of(content: Encoded, what: str) -> Kind:
    """The kind of one picture, by its head alone; refused where it holds what no kind can."""
    with _open(content, what) as found:
        return _kind(found, what)


def one_kind(contents: Sequence[Encoded], what: Sequence[str]) -> Kind:
    """The kind that all of these become: colour if any has some, 16 bits if any has; what is changed is said."""
    kinds = [kind_of(each, name) for each, name in zip(contents, what, strict=True)]
    grey, deep, all_ = sum(kind.grey for kind in kinds), sum(kind.deep for kind in kinds), len(kinds)
    if 0 < grey < all_:
        warn(f"{grey:,} of {all_:,} pictures are grey, the others in colour: all are read as colour, with 3 channels")
    if 0 < deep < all_:
        warn(f"{deep:,} of {all_:,} pictures have 16 bits a pixel, the others 8: each is scaled to [0, 1] by its own")
    return Kind(grey == all_, deep > 0)


def pictures(contents: Sequence[Encoded], what: Sequence[str], kind: Kind | None = None) -> ndarray:
    """Encoded pictures of one size as one array (n, channels, height, width); the first of another size is named.

    Refused where they would unpack to far more than their files have: a large one may be a few bytes, packed.
    """
    kind = kind or one_kind(contents, what)
    first = picture(contents[0], what[0], kind)[0]
    packed = sum(len(each) if isinstance(each, bytes) else each.stat().st_size for each in contents)
    most = max(SMALL, PACKED_PICTURES * packed)
    if len(contents) * first.nbytes > most:
        raise BadData(
            f"{what[0]} and {len(contents) - 1:,} others have {packed:,} bytes and would unpack to "
            f"{len(contents) * first.nbytes:,}, expected at most {most:,}"
        )
    result = np.empty((len(contents), *first.shape), kind.dtype)
    clear = []
    for row, content, name in zip(result, contents, what, strict=True):
        pixels, laid = picture(content, name, kind)
        if pixels.shape != first.shape:
            raise BadData(
                f"expected pictures of one size (channels, height, width), got {first.shape} in {what[0]} "
                f"and {pixels.shape} in {name}; crop or resize them to one size"
            )
        row[:] = pixels
        clear += [name] if laid else []
    _say_laid(clear, len(contents))
    return result


def picture(content: Encoded, what: str, kind: Kind | None = None) -> tuple[ndarray, bool]:
    """One picture (channels, height, width) of a kind, its own by default; and whether it was laid on white."""
    with _open(content, what) as found:
        own = _kind(found, what)
        kind = kind or own
        if own.deep:
            pixels, laid = _levels(found), False
        else:
            flat, laid = _laid_on_white(found)
            pixels = np.asarray(flat.convert("L" if kind.grey else "RGB"))
    if kind.deep and not own.deep:
        pixels = pixels * np.uint16(257)  # 255 becomes 65,535: the same share of white
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    pixels = pixels if kind.grey or pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    return pixels.transpose(2, 0, 1), laid


@contextmanager
def _open(content: Encoded, what: str) -> "Iterator[Image]":
    """A picture of which the head is read; whatever goes wrong with it, there or later, is one line."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pictures that are large, which are refused
            stream = io.BytesIO(content if isinstance(content, bytes) else read_bytes(content))
            with Image.open(stream, formats=PICTURES) as found:  # of others some run programs
                if found.width * found.height > PIXELS:
                    raise BadData(f"{what} has {found.width} x {found.height} pixels, expected at most {PIXELS:,}")
                yield found
    except BadData:
        raise
    except UnidentifiedImageError:  # whose own words are of a place in memory
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        reason = f"its {size:,} bytes are none of {', '.join(PICTURES)}" if size else "it is empty"
        raise BadData(f"{what} is no picture that can be read: {reason}; mend it, or leave it out") from None
    except (Image.DecompressionBombError, *UNREADABLE) as error:
        raise BadData(f"{what} is no picture that can be read: {first_line(error)}") from None


def _kind(found: "Image", what: str) -> Kind:
    if found.mode in ("I", "F") and found.format != "PNG":
        raise BadData(
            f"{what} has pixels of 32 bits or with a sign, and no format says which of them is white; scale them to "
            "[0, 1] and give them to data_from_arrays"
        )
    deep = found.mode in (*_DEEP, "I")  # older versions of Pillow open a grey PNG of 16 bits as "I"
    if not deep and ";16" in _coded(found):
        raise BadData(
            f"{what} has colours of 16 bits, of which 8 would be lost; save it as grey or with 8 bits, or give arrays "
            "of uint16 to data_from_arrays"
        )
    if found.format in ("GIF", "PNG", "TIFF", "WEBP") and getattr(found, "n_frames", 1) > 1:
        raise BadData(f"{what} holds {getattr(found, 'n_frames', 0)} pictures; save the one that is meant by itself")
    return Kind(deep or found.mode in ("1", "L", "LA", "La"), deep)


def _levels(found: "Image") -> ndarray:
    """The levels of a grey picture of 16 bits, 65,535 as white."""
    twelve = ";12" in _coded(found)
    levels = np.asarray(_upright(found)).astype(np.uint16)
    levels = np.round(levels * (65535 / 4095)).astype(np.uint16) if twelve else levels
    tag, zero = _WHITE_IS_ZERO
    inverted = found.format == "TIFF" and getattr(found, "tag_v2", {}).get(tag) == zero
    return np.uint16(65535) - levels if inverted else levels


def _coded(found: "Image") -> str:
    """How its pixels are written, in Pillow's words."""
    return str(getattr(found, "tile", ""))


def _laid_on_white(found: "Image") -> "tuple[Image, bool]":
    """A picture without transparency: where it has some, as it looks on white paper, and True."""
    from PIL import Image

    upright = _upright(found)
    if upright.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in upright.info:
        return upright, False
    whole = upright.convert("RGBA")
    if whole.getchannel("A").getextrema() == (255, 255):
        return whole, False
    return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole), True


def _upright(found: "Image") -> "Image":
    """As a camera says that it was held."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(found)


def _say_laid(clear: Sequence[str], all_: int) -> None:
    if clear:
        verb = "has" if len(clear) == 1 else "have"
        warn(
            f"{len(clear):,} of {all_:,} pictures {verb} transparent parts and lie on white now; the first: {clear[0]}"
        )
