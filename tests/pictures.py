"""Files for tests: real ones of each kind, and some that only look like it."""

import io
import zipfile
import zlib
from typing import Any

import pillow_heif
from PIL import Image

pillow_heif.register_heif_opener()

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41\x00\x00\x00\x08free" + bytes(64)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<!DOCTYPE html><script>alert(1)</script>"
EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff" + bytes(200)


def picture(
    kind: str = "JPEG", size: tuple[int, int] = (64, 48), color: Any = (200, 30, 30), **options: Any
) -> bytes:
    """Return a picture, written by the library that reads it."""
    drawn = io.BytesIO()
    mode = options.pop("mode", "RGB")
    Image.new(mode, size, color).save(drawn, kind, **options)
    return drawn.getvalue()


def photo() -> bytes:
    """Return a photo held upright: 90 x 60 px on its side, red at what is the top, with GPS in it."""
    image = Image.new("RGB", (90, 60), (0, 0, 255))
    image.paste((255, 0, 0), (0, 0, 45, 60))  # the left half, which orientation 6 turns to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SECRETCAM"
    exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 45.0, 7.0), 3: "E", 4: (37.0, 37.0, 56.0)})
    drawn = io.BytesIO()
    image.save(drawn, "JPEG", exif=exif, quality=95, comment=b"SECRETCOMMENT")
    return drawn.getvalue()


def archive(*names: str, content: bytes = b"<x/>") -> bytes:
    """Return a ZIP with these files in it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(name, content)
    return packed.getvalue()


def huge_png(side: int) -> bytes:
    """Return a small PNG that says it is ``side`` pixels wide and high."""
    small = bytearray(picture("PNG", (1, 1)))
    small[16:24] = side.to_bytes(4, "big") * 2
    small[29:33] = zlib.crc32(small[12:29]).to_bytes(4, "big")
    return bytes(small)


DOCX = archive("[Content_Types].xml", "_rels/.rels", "word/document.xml")
XLSX = archive("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml")
