"""README.md tells the truth: its tables are the code's, and its commands answer as printed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.core.processes import LOOPBACK, wait_until
from api.settings import Settings
from api.tickets.states import TRANSITIONS, Party, needs_reason
from tests.test_local import free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
UI_SETTINGS = {"API_URL", "UI_DATA_DIR"}
PARTIES = {Party.STAFF: "admin, manager", Party.ITS_WORKER: "its worker", Party.ITS_CLIENT: "its client"}
LEFT_OUT = "…"
SHAPES = [
    re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z$"),
    re.compile(r"^\d{4}-\d\d-\d\d$"),
    re.compile(r"^[0-9a-f]{32}$"),
    re.compile(r"^[0-9A-Z]{4}(-[0-9A-Z]{4}){3}$"),
]
"""Times, days, request ids and codes differ from run to run; one of a kind stands for all."""


def section(title: str) -> str:
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def table(title: str) -> list[list[str]]:
    """Return the cells of the first table of a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def test_the_transition_table_is_that_of_the_state_machine() -> None:
    told = [(was, target.partition(" ")[0], by, why) for was, target, by, why in table("Statuses")]
    expected = [
        (
            str(was),
            str(target),
            ", ".join(words for party, words in PARTIES.items() if party in who),
            "required" if needs_reason(was, target) else "",
        )
        for was, targets in TRANSITIONS.items()
        for target, who in targets.items()
    ]
    assert sorted(told) == sorted(expected)


def test_the_settings_table_names_every_setting_with_its_default() -> None:
    told = {name.strip("`"): default.strip("`") for name, default, _ in table("Settings")}
    assert told.keys() == {name.upper() for name in Settings.model_fields} | UI_SETTINGS
    for name, setting in Settings.model_fields.items():
        default = setting.get_default()
        if name in ("database_url", "secret_key"):
            continue  # `make run` has its own
        if isinstance(default, bool):
            expected = str(default).lower()
        else:
            expected = "" if default in (None, []) else str(default)
        assert told[name.upper()] == expected, name


def test_what_the_readme_points_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for goal in set(re.findall(r"`make (\w+)", README)):
        assert f"\n{goal}:" in makefile, goal


def test_answers_are_compared_with_what_is_printed() -> None:
    real = {"id": 1, "at": "2026-01-01T00:00:00Z", "list": [1, 2], "token": "eyJabc"}
    assert is_like(printed('{"id": 1, …}'), real)
    assert is_like(
        printed('{"id": 1, "at": "2020-02-02T00:00:00.5Z", "list": [1, …], "token": "eyJ…"}'), real
    )
    assert not is_like(printed('{"id": 1}'), real)
    assert not is_like(printed('{"id": 2, …}'), real)
    assert not is_like(printed('{"list": [1], …}'), real)
    assert not is_like(printed('{"at": "yesterday", …}'), real)
    assert not is_like(printed('{"none": 1, …}'), real)


def printed(text: str) -> Any:
    """Read JSON in which `…` stands for what is left out."""
    in_objects = re.sub(r",\s*…\s*}", f', "{LEFT_OUT}": "{LEFT_OUT}"}}', text)
    return json.loads(re.sub(r",\s*…\s*]", f', "{LEFT_OUT}"]', in_objects))


def is_like(shown: Any, real: Any) -> bool:
    """Tell whether an answer is the one that is printed, but for what differs from run to run."""
    match shown, real:
        case dict(), dict():
            same = [is_like(value, real.get(name)) for name, value in shown.items() if name != LEFT_OUT]
            return all(same) and (LEFT_OUT in shown or shown.keys() == real.keys())
        case list(), list():
            told = [value for value in shown if value != LEFT_OUT]
            enough = len(told) == len(real) or (told != shown and len(told) < len(real))
            return enough and all(map(is_like, told, real))
        case str(), str() if LEFT_OUT in shown:
            return real.startswith(shown.removesuffix(LEFT_OUT))
        case str(), str():
            return shown == real or any(shape.match(shown) and shape.match(real) for shape in SHAPES)
        case float(), float():
            return True  # measured
        case _:
            return bool(shown == real)


def parts(output: str) -> tuple[list[str], str]:
    """Return the lines with statuses and headers, in any order, and the JSON that is left."""
    lines = [line for line in output.splitlines() if line.strip()]
    plain = [line for line in lines if re.match(r"^(\d{3}$|HTTP/|[a-z-]+: )", line)]
    return sorted(plain), "\n".join(line for line in lines if line not in plain)


def examples() -> list[tuple[str, str | None]]:
    """Return the commands of the section on the API, each with the answer that is printed below it."""
    fences = re.findall(r"```(sh|text)\n(.*?)```", section("The API by example"), flags=re.DOTALL)
    found: list[tuple[str, str | None]] = []
    for kind, body in fences:
        if kind == "sh":
            found.append((body, None))
        else:
            found[-1] = (found[-1][0], body)
    return found


@pytest.fixture
def api(committed: str, tmp_path: Path) -> Iterator[str]:
    """Address of the API on a new database, as real as it gets."""
    port = free_port()
    log = tmp_path / "api.log"
    command = [sys.executable, "-m", "uvicorn", "api.main:app", "--host", LOOPBACK, "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": committed},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    address = f"http://{LOOPBACK}:{port}/api/v1"

    def ready() -> bool:
        try:
            return httpx.get(f"{address}/health/ready", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return process.poll() is not None

    try:
        assert wait_until(ready, seconds=60), log.read_text()
        yield address
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("bash")), reason="the README's examples need curl and bash"
)
def test_the_examples_answer_as_printed(api: str, tmp_path: Path) -> None:
    commands = examples()
    assert len(commands) > 15
    border = "=== next ==="
    script = f"\necho '{border}'\n".join(body for body, _ in commands)
    assert "http://127.0.0.1:8000/api/v1" in script
    done = subprocess.run(
        ["bash", "-eu", "-o", "pipefail", "-c", script.replace("http://127.0.0.1:8000/api/v1", api)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answers = done.stdout.split(f"{border}\n")
    for (body, expected), answer in zip(commands, answers, strict=True):
        plain, text = parts(expected or "")
        real_plain, real_text = parts(answer)
        assert real_plain == plain, body + answer
        assert bool(real_text) == bool(text), body + answer
        if text:
            assert is_like(printed(text), json.loads(real_text)), body + answer
