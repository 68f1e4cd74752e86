"""``python -m api.cli import FILE``: CSV as spreadsheets write it, and files that cannot be read."""

from pathlib import Path

import pytest

from api import cli
from tests.test_sample import rows


@pytest.fixture
def database(committed: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty database, named as an operator names it."""
    monkeypatch.setenv("DATABASE_URL", committed)
    monkeypatch.setenv("PASSWORD_HASH_ROUNDS", "4")
    return committed


def csv(folder: Path, text: str, *, encoding: str = "utf-8") -> str:
    path = folder / "tickets.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_csv_as_spreadsheets_write_it(
    database: str, tmp_path: Path, encoding: str, delimiter: str, newline: str
) -> None:
    cells = [
        [
            "External ID",
            "Title",
            "Description",
            "Status",
            "created_at",
            "Client_name",
            "client_phone",
            "Notes",
        ],
        [
            "7",
            '"Стирка ""Эра"""',
            '"=1+1%\n<b>two, lines; here</b>"',
            "In progress",
            "2024-05-06",
            "Иван",
            "8 912 345-67-89",
            "unread",
        ],
        [""] * 8,
        ["8", "x", "", "", "", "", "+7 912 345 67 89"],
    ]
    text = newline.join(delimiter.join(line) for line in cells) + newline
    assert cli.main(["import", csv(tmp_path, text, encoding=encoding)]) == cli.DONE
    first, second = rows(
        database,
        "SELECT t.*, c.name, c.phone, u.username FROM tickets t JOIN clients c ON c.id = client_id "
        "LEFT JOIN users u ON u.id = worker_id ORDER BY external_id",
    )
    assert (first["title"], first["description"]) == ('Стирка "Эра"', "=1+1%\n<b>two, lines; here</b>")
    assert (first["status"], first["username"]) == ("in_progress", "imported")
    assert first["created_at"].isoformat() == "2024-05-06T00:00:00+00:00"
    assert (first["name"], first["phone"]) == ("Иван", "8 912 345-67-89")
    assert (second["client_id"], second["description"], second["status"]) == (first["client_id"], None, "new")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("title,status\nx,new,more\n", "line 2: has 3 cells for 2 columns"),
        ('title,status\n"x,new\n', "line 2: is not CSV: unexpected end of data"),
    ],
)
@pytest.mark.usefixtures("database")
def test_csv_that_is_broken_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    assert cli.main(["import", csv(tmp_path, text)]) == cli.BAD_LINES
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"name,status\nx,new\n", "has no column “title”"),
        (b"title,title\nx,new\n", "has two columns of one name"),
        ("title\nx\nЖильё\n".encode("cp1251"), "is not UTF-8 (line 3)"),
        (b"", "has no column “title”"),
    ],
)
@pytest.mark.usefixtures("database")
def test_a_file_that_cannot_be_read_is_one_clear_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:
    path = tmp_path / "tickets.csv"
    path.write_bytes(content)
    assert cli.main(["import", str(path)]) == cli.FAILED
    [line] = capsys.readouterr().err.splitlines()
    assert sentence in line


@pytest.mark.usefixtures("database")
def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["import", str(tmp_path)]) == cli.FAILED
    assert cli.main(["import", str(tmp_path / "none.csv")]) == cli.FAILED
    assert capsys.readouterr().err.count("is not a file.\n") == 2


@pytest.mark.usefixtures("database")
def test_a_file_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    path = csv(tmp_path, "title\nx\n")
    assert cli.main(["import", path]) == cli.FAILED
    assert capsys.readouterr().err == f"{path} cannot be read: Permission denied.\n"


def test_json_lines_are_known_without_their_ending(database: str, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(b'\xef\xbb\xbf{"title": "one"}\r\n\r\n{"title": "two", "external_id": 5}\n\xff\n')
    assert cli.main(["import", str(path)]) == cli.BAD_LINES  # the last line is not UTF-8
    assert {row["title"] for row in rows(database, "SELECT title FROM tickets")} == {"one", "two"}
