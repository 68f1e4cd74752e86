"""Measure the product beside its floor: ``make bench``, or ``python -m benchmarks``.

Starts a PostgreSQL of its own in a temporary folder, fills it with 10 thousand and a million tickets
(``--full``: and five million), measures, and prints one table.
"""

import argparse
import http.client
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from api.core.processes import CannotRun
from benchmarks import goals, measure_lists, measure_process, measure_search, measure_writes, places, table
from benchmarks.asking import signed_in
from benchmarks.bench import Bench, Figures
from benchmarks.fill import ROOT, connect, fill, migrate
from benchmarks.shop import Shop, today

RESULTS: Final = ROOT / "build" / "bench"
SMALL, MILLION, FIVE_MILLION = 10_000, 1_000_000, 5_000_000
TINY: Final = 500
MEASURES: Final = {
    "round_trips": measure_writes.round_trips,
    "search": measure_search.search,
    "first_page": measure_search.first_page,
    "year": measure_search.statistics_of_a_year,
    "lists": measure_lists.throughput,
    "ordinary": measure_lists.beside_ordinary,
    "signing_in": measure_process.signing_in,
    "submit": measure_writes.submit,
    "process": measure_process.starts,
}
"""In this order: what writes much comes after what reads, and memory is looked at after all load."""


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table, write it to ``build/bench``; return the exit code."""
    options = _parser().parse_args(arguments)
    usual = [TINY, 2 * TINY] if options.tiny else [SMALL, MILLION, *([FIVE_MILLION] if options.full else [])]
    sizes = sorted(options.sizes or usual)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _folder(options) as folder:
            places.check_disk(folder, sum(sizes))
            results = _measure(folder, sizes, options)
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: everything that was started is ended.", file=sys.stderr)
        return 130
    found = goals.lines(results)
    text = _report(results, found)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.md").write_text(f"{text}\n\n{table.details(results)}\n", encoding="utf-8")
    (options.out / "table.json").write_text(table.as_json(results, found), encoding="utf-8")
    print(text)
    print(f"\nAll figures: {options.out / 'table.md'} and table.json")
    return 1 if any("failed" in figures for figures in results["sizes"].values()) else 0


def _measure(folder: Path, sizes: list[int], options: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", file=sys.stderr, flush=True)

    results: dict[str, Any] = {"machine": _machine(), "sizes": {}}
    with places.postgres(folder) as server:
        for size in sizes:
            tell(f"{size:,} tickets")
            database = places.new_database(server, f"bench_{size}")
            figures = _measure_size(folder, database, size, options, whole=size > min(sizes), tell=tell)
            results["sizes"][str(size)] = figures
    results["machine"] |= {"load_after": os.getloadavg(), "seconds": time.monotonic() - began}
    return results


def _measure_size(
    folder: Path, database: str, size: int, options: argparse.Namespace, *, whole: bool, tell: Any
) -> Figures:
    migrate(database)
    shop = Shop(size, today(), options.seed)
    filled = fill(database, shop, tell=tell, history=options.history)
    tell(f"filled in {filled.total:.0f} s")
    places.open_accounts(database)
    failed: dict[str, str] = {}
    figures: Figures = {"fill": {"seconds": filled.total, "rows": filled.rows, "indexes": filled.indexes}}
    with places.product(database, folder) as product, connect(database) as connection:
        bench = Bench(
            folder=folder,
            log=places.log_of(folder),
            database=database,
            connection=connection,
            shop=shop,
            product=product,
            admin=signed_in(product.port),
            worker=signed_in(product.port, places.WORKER),
            seconds=options.seconds,
            rounds=options.rounds,
            tell=tell,
        )
        tell("measuring blocks")
        figures["blocks"] = measure_lists.blocks(bench)
        for name, measure in MEASURES.items() if whole else ():
            tell(f"measuring {name.replace('_', ' ')}")
            try:
                figures[name] = measure(bench)
            except (AssertionError, OSError, RuntimeError, http.client.HTTPException) as error:
                # The others shall not be lost with it: filling took minutes.
                failed[name] = repr(error)
                tell(f"{name} failed: {error!r}")
    return figures | ({"failed": failed} if failed else {})


def _report(results: dict[str, Any], found: list[table.Line]) -> str:
    machine, sizes = results["machine"], results["sizes"]
    fills = ", ".join(
        f"{int(size):,} in {figures['fill']['seconds']:.0f} s" for size, figures in sizes.items()
    )
    lists = sizes[max(sizes, key=int)].get("lists")
    ceiling = f"{lists['trivial']['rate']:,.0f}" if lists else "not known how many"
    about = (
        f"{machine['cores']} cores, Python {machine['python']}; load of the machine"
        f" {machine['load_before'][0]:.1f} before, {machine['load_after'][0]:.1f} after;"
        f" {machine['seconds']:.0f} s in all. Filled: {fills}."
        f" The load generator got {ceiling} answers a second from an application that does nothing."
    )
    return f"{table.markdown(found)}\n\n{about}"


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "load_before": os.getloadavg(),
    }


@contextmanager
def _folder(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the folder for data, gone afterwards unless it is to be kept."""
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        yield options.keep
        return
    with tempfile.TemporaryDirectory(prefix="repair-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--full", action="store_true", help="five million tickets too: an hour, and 28 GB of disk"
    )
    parser.add_argument(
        "--tiny", action="store_true", help="a few hundred tickets: only to see that it works"
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="other sizes of the shop, two at least")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one round (default 3)")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another shop (default 1)")
    parser.add_argument(
        "--history", action="store_true", help="give every ticket the first line of its history"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the data in FOLDER, which must be new"
    )
    parser.add_argument(
        "--out", type=Path, default=RESULTS, help="where the table goes (default build/bench)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
