"""A million tickets cost no more than ten thousand: what PostgreSQL does for every list.

Blocks are counted, not seconds: a block is a block on any machine, however busy.
"""

from typing import Final, get_args

import pytest

from api.auth.models import Role
from api.settings import Settings
from api.tickets.schemas import TicketSort
from tests.million import Shop
from tests.plans import Plan, prober

pytestmark = pytest.mark.slow

SHOP: Final = Shop()
SORTS: Final = [sort for sort in get_args(TicketSort) if sort != "relevance"]
COUNTING: Final = 150
"""Blocks of an index that counting to ten thousand looks at, where the small shop has fewer to count."""
COUNTED_SINGLY: Final = 12_000
OPEN: Final = "status=new&status=assigned&status=in_progress&status=on_hold"
DAY: Final = "from=2025-06-01T00:00:00Z&{0}_to=2025-06-02T00:00:00Z"

FILTERS: Final = (
    *("status=new", "status=closed", "status=on_hold", "status=done&status=closed", OPEN),
    f"{OPEN}&sort=created_at",
    f"{OPEN}&sort=due_at",
    *("priority=urgent", "priority=urgent&priority=high", "status=new&priority=urgent"),
    *(f"worker_id={SHOP.busy_worker}", f"worker_id={SHOP.quiet_worker}", "worker_id=none"),
    f"worker_id={SHOP.busy_worker}&status=in_progress",
    f"worker_id={SHOP.busy_worker}&status=assigned&status=in_progress",
    f"worker_id={SHOP.busy_worker}&status=new",
    f"worker_id={SHOP.busy_worker}&priority=urgent",
    f"worker_id={SHOP.busy_worker}&viewed=false",
    *(f"client_id={SHOP.busy_client}", "client_id=100"),
    "created_" + DAY.format("created"),
    "created_to=2024-06-02T00:00:00Z",
    "created_to=2024-06-02T00:00:00Z&status=new",
    "scheduled_" + DAY.format("scheduled"),
    "scheduled_" + DAY.format("scheduled") + "&sort=scheduled_at",
    "overdue=true&sort=due_at",
    "pool=true",
    *("viewed=true", "overdue=false", "pool=false"),
)
"""Of one thing, in the order an index has it."""

COMBINED: Final = (
    *(f"{OPEN}&sort={sort}" for sort in ("-priority", "scheduled_at", "updated_at", "id", "status")),
    *("overdue=true", f"overdue=true&worker_id={SHOP.busy_worker}", "viewed=false"),
    *("status=closed&priority=low", f"worker_id={SHOP.quiet_worker}&status=closed&priority=urgent"),
    *("client_id=100&sort=-due_at", "priority=urgent&sort=-due_at", "priority=urgent&sort=status"),
    *(f"worker_id={SHOP.busy_worker}&sort={sort}" for sort in ("-priority", "-updated_at", "due_at", "id")),
    f"worker_id={SHOP.quiet_worker}&sort=due_at",
    *("pool=true&sort=-priority", "pool=true&priority=urgent", "worker_id=none&status=canceled"),
)
"""Of several things, or in another order: what is found is sorted, or what is sorted is sifted."""

DENSE: Final = ("viewed=true", "overdue=false", "pool=false")
"""What nearly every ticket is: to count ten thousand of them is to read as many, in any order."""


async def plans(settings: Settings, url: str, paths: list[str], role: Role = Role.ADMIN) -> list[Plan]:
    """Return the plan of the one statement of each list."""
    user_id = {Role.ADMIN: SHOP.admin, Role.WORKER: SHOP.busy_worker, Role.CLIENT: SHOP.account}[role]
    found = []
    async with prober(settings, url, user_id, role) as probe:
        for path in paths:
            _, planned = await probe.get(f"/tickets?{path}")
            assert len(planned) == 1, path
            found += planned
    return found


async def compared(
    settings: Settings, shops: tuple[str, str], paths: list[str], role: Role = Role.ADMIN
) -> list[tuple[str, Plan, Plan]]:
    """Return each list with what it takes in the small shop and in the large one."""
    small, large = [await plans(settings, url, paths, role) for url in shops]
    return list(zip(paths, small, large, strict=True))


async def test_every_sort_costs_the_same_however_many_tickets_there_are(
    settings: Settings, shops: tuple[str, str]
) -> None:
    sorts = [f"sort={sort}" for sort in SORTS]

    costs = await compared(settings, shops, sorts)

    assert [(path, a.blocks, b.blocks) for path, a, b in costs if b.blocks > 1.3 * a.blocks] == []
    assert [path for path, _, large in costs if "tickets" in large.scanned] == []


async def test_every_cursor_page_costs_the_same_in_both_directions(
    settings: Settings, shops: tuple[str, str]
) -> None:
    costs = []
    for url in shops:
        async with prober(settings, url, SHOP.admin, Role.ADMIN) as probe:
            for sort in SORTS:
                body, _ = await probe.get(f"/tickets?sort={sort}&page=40")
                _, [plan] = await probe.get(f"/tickets?sort={sort}&cursor={body['next_cursor']}")
                costs.append((sort, plan))
    half = len(costs) // 2
    pairs = [(sort, a, b) for (sort, a), (_, b) in zip(costs[:half], costs[half:], strict=True)]

    assert [(sort, a.blocks, b.blocks) for sort, a, b in pairs if b.blocks > 1.3 * a.blocks] == []
    assert [sort for sort, _, large in pairs if "tickets" in large.scanned] == []


async def test_every_filter_costs_the_same_but_for_what_there_is_to_count(
    settings: Settings, shops: tuple[str, str]
) -> None:
    costs = await compared(settings, shops, list(FILTERS))

    assert [(path, a.blocks, b.blocks) for path, a, b in costs if b.blocks > 1.3 * a.blocks + COUNTING] == []
    assert [path for path, _, large in costs if "tickets" in large.scanned and path not in DENSE] == []


async def test_what_is_combined_is_neither_scanned_for_nor_walked_after(
    settings: Settings, shops: tuple[str, str]
) -> None:
    costs = await compared(settings, shops, list(COMBINED))

    found = [(path, large.blocks) for path, _, large in costs if large.blocks > 3_000]
    # Ten thousand of these are counted one by one: no index knows both, and few ask.
    assert [path for path, _ in found if path != "worker_id=none&status=canceled"] == []
    assert all(blocks < COUNTED_SINGLY for _, blocks in found), found
    assert [path for path, _, large in costs if "tickets" in large.scanned] == []


MINE: Final = ("", "status=done", "sort=created_at", "sort=-priority", "pool=true", f"{OPEN}&sort=due_at")


async def test_a_workers_own_list_costs_the_same(settings: Settings, shops: tuple[str, str]) -> None:
    costs = await compared(settings, shops, list(MINE), Role.WORKER)

    assert [(path, a.blocks, b.blocks) for path, a, b in costs if b.blocks > 1.3 * a.blocks + COUNTING] == []
    assert [path for path, _, large in costs if "tickets" in large.scanned] == []


async def test_a_customers_own_list_costs_what_they_have(settings: Settings, shops: tuple[str, str]) -> None:
    costs = await compared(settings, shops, [path for path in MINE if path != "pool=true"], Role.CLIENT)

    # In the small shop this customer has nothing to show: a page of rows and their neighbours is this much.
    assert [(path, large.blocks) for path, _, large in costs if large.blocks > 500] == []
    assert [path for path, _, large in costs if "tickets" in large.scanned] == []


async def test_a_deep_page_reads_the_tickets_it_shows_and_no_others(
    settings: Settings, shops: tuple[str, str]
) -> None:
    [(_, small, large)] = await compared(settings, shops, ["page=1000"])

    assert large.blocks <= 1.3 * small.blocks
    assert "ix_tickets_created_at_id" in large.indexes


async def test_the_counting_of_blocks_sees_a_table_that_is_read_whole(
    settings: Settings, shops: tuple[str, str]
) -> None:
    async with prober(settings, shops[1], SHOP.admin, Role.ADMIN) as probe:
        plan = await probe.explain("SELECT count(*) FROM tickets WHERE title LIKE $1", ("%nothing%",))

    assert "tickets" in plan.scanned
    assert plan.blocks > 20_000
