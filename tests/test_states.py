"""The state machine, against the contract's table written out a second time."""

from itertools import product

import pytest

from api.tickets import states
from api.tickets.states import FINISHED, OPEN, TRANSITIONS, WITH_WORKER, Party, Status

# The contract's table: from, to, who. S is staff, W the ticket's worker, C its client.
CONTRACT = """
new          assigned     S
new          canceled     S C
assigned     assigned     S
assigned     new          S
assigned     in_progress  S W
assigned     canceled     S C
in_progress  assigned     S
in_progress  new          S
in_progress  on_hold      S W
in_progress  done         S W
in_progress  canceled     S
on_hold      assigned     S
on_hold      new          S
on_hold      in_progress  S W
on_hold      canceled     S
done         closed       S
done         in_progress  S C
closed       in_progress  S
"""
LETTERS = {"S": Party.STAFF, "W": Party.ITS_WORKER, "C": Party.ITS_CLIENT}
MAY = {
    (Status(was), Status(target), LETTERS[letter])
    for was, target, *letters in (line.split() for line in CONTRACT.strip().splitlines())
    for letter in letters
}


@pytest.mark.parametrize(("was", "target", "party"), list(product(Status, Status, Party)))
def test_a_move_is_allowed_exactly_where_the_contract_says(was: Status, target: Status, party: Party) -> None:
    assert (target in states.allowed(was, [party])) == ((was, target, party) in MAY)


def test_every_status_has_its_row() -> None:
    assert set(TRANSITIONS) == set(Status)


def test_whoever_is_several_parties_may_what_each_may() -> None:
    found = states.allowed(Status.ASSIGNED, [Party.ITS_WORKER, Party.ITS_CLIENT])

    assert set(found) == {Status.IN_PROGRESS, Status.CANCELED}


@pytest.mark.parametrize("was", Status)
def test_who_is_no_party_may_nothing(was: Status) -> None:
    assert states.allowed(was, []) == []


@pytest.mark.parametrize(("target", "party"), list(product(Status, Party)))
def test_may_ever_tells_whether_any_status_leads_there(target: Status, party: Party) -> None:
    assert states.may_ever(target, [party]) == any((was, target, party) in MAY for was in Status)


@pytest.mark.parametrize(
    ("party", "only_from", "expected"),
    [
        (Party.ITS_WORKER, [Status.ASSIGNED], True),
        (Party.ITS_WORKER, FINISHED, False),
        (Party.ITS_CLIENT, FINISHED, True),
        (Party.ITS_CLIENT, [Status.CLOSED], False),
        (Party.STAFF, [Status.CANCELED], False),
        (Party.STAFF, [], False),
    ],
)
def test_may_ever_can_be_asked_of_some_statuses_only(
    party: Party, only_from: list[Status], *, expected: bool
) -> None:
    assert states.may_ever(Status.IN_PROGRESS, [party], only_from) is expected


REASONED = {
    (Status.IN_PROGRESS, Status.ON_HOLD),
    (Status.DONE, Status.IN_PROGRESS),
    (Status.CLOSED, Status.IN_PROGRESS),
    (Status.NEW, Status.CANCELED),
    (Status.ASSIGNED, Status.CANCELED),
    (Status.IN_PROGRESS, Status.CANCELED),
    (Status.ON_HOLD, Status.CANCELED),
}


@pytest.mark.parametrize(("was", "target"), sorted({(was, target) for was, target, _ in MAY}))
def test_hold_cancel_and_reopen_want_a_reason_and_nothing_else_does(was: Status, target: Status) -> None:
    assert states.needs_reason(was, target) == ((was, target) in REASONED)


def test_a_ticket_is_open_until_it_is_done_or_canceled_and_whoever_works_on_it_has_it() -> None:
    assert set(OPEN) == set(Status) - {Status.DONE, Status.CLOSED, Status.CANCELED}
    assert set(WITH_WORKER) == set(OPEN) - {Status.NEW}
