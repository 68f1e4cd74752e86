"""What a file really is, whatever it is called."""

import hashlib
import io
import random
import zipfile

import pytest
from PIL import Image

from api.core.errors import TooLarge
from api.tickets.attachments.inspection import DOCX, XLSX, Findings, UnsupportedType, inspect, tame_name
from tests import pictures
from tests.pictures import EXE, HTML, MP4, PDF, SVG, archive, huge_png, photo, picture

GOOD: dict[str, tuple[bytes, str]] = {
    "JPEG": (picture(), "image/jpeg"),
    "grey JPEG": (picture(mode="L", color=7), "image/jpeg"),
    "CMYK JPEG": (picture(mode="CMYK", color=(1, 2, 3, 4)), "image/jpeg"),
    "two JPEGs in one": (
        picture("MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
        "image/jpeg",
    ),
    "PNG": (picture("PNG"), "image/png"),
    "clear PNG": (picture("PNG", mode="RGBA", color=(1, 2, 3, 4)), "image/png"),
    "PNG of 16 bits": (picture("PNG", mode="I;16", color=7), "image/png"),
    "PNG with a palette": (picture("PNG", mode="P", color=3), "image/png"),
    "WebP": (picture("WEBP"), "image/webp"),
    "HEIC": (picture("HEIF"), "image/heic"),
    "PDF": (PDF, "application/pdf"),
    "text": ("Ключи,\tлифт\r\n".encode(), "text/plain"),
    "text with a mark": (b"\xef\xbb\xbfHello", "text/plain"),
    "text that is compared": (b"  <3 and 2 < 3", "text/plain"),
    "long text": ("я".encode() * 700_000, "text/plain"),
    "DOCX": (pictures.DOCX, DOCX),
    "XLSX": (pictures.XLSX, XLSX),
    "MP4": (MP4, "video/mp4"),
}
BAD = {
    "nothing": b"",
    "spaces": b" \n\t ",
    "SVG": SVG,
    "SVG with a declaration": b'<?xml version="1.0"?>' + SVG,
    "SVG after a mark": b"\xef\xbb\xbf\n" + SVG,
    "SVG after a comment": b"<!-- -->" + SVG,
    "HTML": HTML,
    "HTML without a head": b"\n <body onload=alert(1)>",
    "HTML far down": b" " * 2_000_000 + HTML,
    "EXE": EXE,
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(100),
    "ZIP": archive("a.txt"),
    "empty ZIP": archive(),
    "broken ZIP": b"PK\x03\x04" + bytes(100),
    "JAR": archive("META-INF/MANIFEST.MF", "word/x.xml"),
    "DOCX without its types": archive("word/document.xml"),
    "DOCX with macros": archive("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
    "ZIP behind text": b"#!/bin/sh\n" + archive("[Content_Types].xml", "word/document.xml"),
    "GIF": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "GIF that is a script": b"GIF89a\x2f\x2a\x00\x00*/=1;alert(1)",
    "BMP": picture("BMP"),
    "TIFF": picture("TIFF"),
    "ICO": picture("ICO", (16, 16)),
    "HTML that begins like a JPEG": b"\xff\xd8\xff\xe0" + HTML,
    "JPEG cut short": picture(size=(400, 400))[:300],
    "PNG cut short": picture("PNG", (400, 400))[:60],
    "HEIC cut short": picture("HEIF")[:100],
    "film of unknown make": b"\x00\x00\x00\x18ftypxxxx" + bytes(50),
    "text in UTF-16": "Hello".encode("utf-16"),
    "half a character": b"Hello \xd0",
    "NUL": b"Hel\x00lo",
    "escape codes": b"\x1b[31mred",
    "PostScript in Latin-1": b"%!PS \xe9",
    "broken RIFF": b"RIFF\x00\x00\x00\x00WEBPVP8 ",
}


def look_at(content: bytes) -> Findings:
    return inspect(io.BytesIO(content))


def thumbnail_of(content: bytes) -> tuple[Image.Image, bytes]:
    drawn = look_at(content).thumbnail
    assert drawn
    return Image.open(io.BytesIO(drawn)), drawn


@pytest.mark.parametrize("name", GOOD)
def test_what_is_accepted_is_told_by_its_content(name: str) -> None:
    content, content_type = GOOD[name]

    found = look_at(content)

    assert (found.content_type, found.size) == (content_type, len(content))
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert (found.thumbnail is not None) == content_type.startswith("image/")


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedType):
        look_at(BAD[name])


def test_the_file_is_left_at_its_beginning() -> None:
    file = io.BytesIO(picture())
    inspect(file)
    assert file.tell() == 0


@pytest.mark.parametrize("side", [8_000, 30_000])
def test_a_picture_of_too_many_pixels_is_never_drawn(side: int) -> None:
    with pytest.raises(TooLarge):
        look_at(huge_png(side))


def test_a_bomb_in_a_document_is_not_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("[Content_Types].xml", b"")
        with file.open("word/document.xml", "w", force_zip64=True) as member:
            for _ in range(200):
                member.write(bytes(1_000_000))
    assert len(packed.getvalue()) < 1_000_000

    assert look_at(packed.getvalue()).content_type == DOCX


@pytest.mark.parametrize(
    ("kind", "size", "drawn"),
    [
        ("JPEG", (2000, 1000), (480, 240)),
        ("PNG", (1000, 2000), (240, 480)),
        ("WEBP", (64, 48), (64, 48)),
        ("HEIF", (960, 960), (480, 480)),
    ],
)
def test_a_thumbnail_is_a_small_jpeg(kind: str, size: tuple[int, int], drawn: tuple[int, int]) -> None:
    small, _ = thumbnail_of(picture(kind, size))

    assert (small.format, small.size) == ("JPEG", drawn)
    red, green, blue = small.convert("RGB").getpixel((5, 5))  # type: ignore[misc]
    assert red > 150
    assert max(green, blue) < 90


def test_a_thumbnail_stands_upright_and_tells_nothing_of_where_it_was_taken() -> None:
    small, drawn = thumbnail_of(photo())

    assert small.size == (60, 90)
    red, _, blue = small.getpixel((30, 5))  # type: ignore[misc]
    assert red > blue
    red, _, blue = small.getpixel((30, 85))  # type: ignore[misc]
    assert blue > red
    assert not small.getexif()
    assert b"SECRET" not in drawn
    assert b"Exif" not in drawn
    assert b"SECRETCAM" in photo()


def test_a_colour_profile_does_not_travel_along() -> None:
    _, drawn = thumbnail_of(picture("PNG", icc_profile=b"SECRETPROFILE" * 20))
    assert b"SECRETPROFILE" not in drawn


@pytest.mark.parametrize("name", ["JPEG", "two JPEGs in one", "PNG", "WebP", "HEIC", "DOCX", "PDF", "MP4"])
def test_damage_of_whatever_kind_is_refused_or_harmless(name: str) -> None:
    dice = random.Random(7)  # noqa: S311  the same damage each time
    for _ in range(60):
        damaged = bytearray(GOOD[name][0])
        for _ in range(dice.randrange(1, 12)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        try:
            look_at(bytes(damaged[: dice.randrange(1, len(damaged) + 200)]))
        except (UnsupportedType, TooLarge):
            continue


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Фото кухни.jpg", "Фото кухни.jpg"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\Users\\ann\\photo.jpg", "photo.jpg"),
        ("/", "file"),
        ("..", "file"),
        (".htaccess", "htaccess"),
        ("", "file"),
        (None, "file"),
        ("  . ", "file"),
        ("a\r\nSet-Cookie: x=1.txt", "aSet-Cookie: x=1.txt"),
        ("a\x00b\x1b[31m.txt", "ab[31m.txt"),
        ("a%0D%0Ab.txt", "ab.txt"),
        ("a%22b%22.txt", 'a"b".txt'),
        ("100%25.txt", "100%25.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("a\u200bb\ufeff.txt", "ab.txt"),
        ("a\ud800b.txt", "ab.txt"),
        ("x" * 5000 + ".jpeg", "x" * 140 + ".jpeg"),
        ("x" * 5000, "x" * 150),
        ("x." + "y" * 5000, "x." + "y" * 9),
    ],
)
def test_a_name_is_only_a_name(given: str | None, kept: str) -> None:
    assert tame_name(given) == kept
