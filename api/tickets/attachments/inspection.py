"""What a file really is, whatever it is called. Synchronous: run it in a thread."""

import codecs
import hashlib
import io
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Final

import puremagic
from PIL import Image, ImageOps
from pillow_heif import register_heif_opener

from api.core.errors import AppError, TooLarge

register_heif_opener()

PICTURES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "HEIF": "image/heic"}
DRAWN_AS: Final = {"MPO": "JPEG"}
"""Several JPEGs in one file, as many telephones make them: the first one is what is seen."""
DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
OFFICE: Final = {"word/document.xml": DOCX, "xl/workbook.xml": XLSX}
MACROS: Final = "vbaproject.bin"
MARKUP: Final = re.compile(r"\s*<[a-z!?/]", re.IGNORECASE)
"""What begins like this, a browser that guesses takes for a page or a drawing."""
CONTROL: Final = re.compile(r"[^\t\n\f\r -\x7e\x80-\U0010ffff]")
MP4_BRANDS: Final = (b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"qt  ")
HEAD: Final = 4096
CHUNK: Final = 1024 * 1024
MAX_PIXELS: Final = 60_000_000
"""More than a telephone's camera makes; a picture of 30,000 x 30,000 would take 2.7 GB to draw."""
THUMBNAIL_SIDE: Final = 480
MAX_NAME: Final = 150
ESCAPED: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""How browsers write these in a form (WHATWG HTML, multipart/form-data); no other character is."""


class UnsupportedType(AppError):
    """Files may be JPEG, PNG, WebP, HEIC, PDF, TXT, DOCX, XLSX or MP4, by content."""

    status = 415
    code = "unsupported_type"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a file."""

    content_type: str
    size: int
    sha256: str
    thumbnail: bytes | None


def inspect(file: IO[bytes]) -> Findings:
    """Find out what ``file`` is, and draw its thumbnail if it is a picture.

    Raises:
        UnsupportedType: (415). TooLarge: (413) more pixels than anybody needs.
    """
    digest, size = hashlib.sha256(), 0
    file.seek(0)
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    content_type, thumbnail = _kind(file)
    file.seek(0)
    return Findings(content_type, size, digest.hexdigest(), thumbnail)


def _kind(file: IO[bytes]) -> tuple[str, bytes | None]:
    file.seek(0)
    head = file.read(HEAD)
    try:
        guesses = {match.mime_type for match in puremagic.magic_string(head)}
    except (puremagic.PureError, ValueError):  # nothing known, or nothing at all
        guesses = set()
    if guesses & set(PICTURES.values()) or head[4:8] == b"ftyp":
        if head[4:8] == b"ftyp" and head[8:12] in MP4_BRANDS:
            return "video/mp4", None
        return _picture(file)
    if head.startswith(b"%PDF-"):
        return "application/pdf", None
    if head.startswith(b"PK\x03\x04"):
        return _office(file), None
    _require_text(file)
    return "text/plain", None


def _picture(file: IO[bytes]) -> tuple[str, bytes]:
    try:
        file.seek(0)
        with Image.open(file, formats=list(PICTURES)) as picture:
            _require_drawable(*picture.size)
            kind = picture.format or ""
            picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
            # Turned as it was held; what else EXIF tells, like where it was taken, is left behind.
            small = ImageOps.exif_transpose(picture).convert("RGB")
            small.info.clear()
            drawn = io.BytesIO()
            small.save(drawn, "JPEG", quality=80)
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except Exception as error:  # a broken picture raises whatever its decoder trips over
        msg = "the picture cannot be read"
        raise UnsupportedType(msg) from error
    return PICTURES[DRAWN_AS.get(kind, kind)], drawn.getvalue()


def _require_drawable(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> TooLarge:
    return TooLarge(f"the picture has more than {MAX_PIXELS:,} pixels")


def _office(file: IO[bytes]) -> str:
    # Only the list of names is read: what a zip bomb unpacks to never is.
    try:
        file.seek(0)
        names = set(zipfile.ZipFile(file).namelist())
    except Exception as error:  # as above
        msg = "the file cannot be read"
        raise UnsupportedType(msg) from error
    if any(name.lower().endswith(MACROS) for name in names):
        msg = "documents with macros are not accepted"
        raise UnsupportedType(msg)
    for name, content_type in OFFICE.items():
        if name in names and "[Content_Types].xml" in names:
            return content_type
    msg = "archives are not accepted"
    raise UnsupportedType(msg)


def _require_text(file: IO[bytes]) -> None:
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    begun = False
    try:
        while chunk := file.read(CHUNK):
            text = decoder.decode(chunk)
            if CONTROL.search(text) or (not begun and MARKUP.match(text)):
                raise _unsupported()
            begun = begun or bool(text.strip())
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise _unsupported() from error
    if not begun:  # nothing, or nothing but spaces
        raise _unsupported()


def _unsupported() -> UnsupportedType:
    return UnsupportedType("this type of file is not accepted")


def tame_name(filename: str | None) -> str:
    """Return a name that is only a name: no folders, no control or direction characters."""
    given = filename or ""
    for escaped, char in ESCAPED.items():
        given = given.replace(escaped, char)
    name = PurePosixPath(given.replace("\\", "/")).name
    kept = "".join(char for char in name if unicodedata.category(char)[0] != "C").strip(" .")
    stem, dot, suffix = kept.rpartition(".")
    if len(kept) > MAX_NAME:
        kept = f"{stem[: MAX_NAME - 10]}{dot}{suffix[:9]}" if stem else kept[:MAX_NAME]
    return kept or "file"
