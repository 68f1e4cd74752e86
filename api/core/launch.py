"""Become another program, as another user, that ends when its parent does.

Run by its path (``python -I -S launch.py UID GID SIGNAL KEEP PARENT -- PROGRAM ARGUMENT...``), not imported:
it stands between fork and exec, where Python's ``preexec_fn`` would risk a deadlock if there are threads.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
PR_SET_SECUREBITS: Final = 28
PR_CAP_AMBIENT: Final = 47
PR_CAP_AMBIENT_RAISE: Final = 2
SECBIT_NO_SETUID_FIXUP: Final = 4
CAP_DAC_OVERRIDE: Final = 1
LINUX_CAPABILITY_VERSION_3: Final = 0x20080522


def _call(name: str, *arguments: object) -> None:
    """Call a function of libc; raise when it fails."""
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def become(uid: int, gid: int, *, keep_access: bool) -> None:
    """Give up root for good.

    With ``keep_access`` the one capability to pass closed folders stays: a clone below ``/root`` (mode 0700)
    is out of reach for everybody else, also for the user PostgreSQL runs as.
    """
    if keep_access:
        # Without it access(2), which PostgreSQL asks about its own programs, ignores what a non-root may do.
        _call("prctl", PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if keep_access:
        mask = 1 << CAP_DAC_OVERRIDE
        header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
        sets = (ctypes.c_uint32 * 6)(
            mask, mask, mask, 0, 0, 0
        )  # effective, permitted, inheritable; low and high words
        _call("capset", ctypes.byref(header), ctypes.byref(sets))
        _call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: list[str]) -> None:
    """Change the user if asked to, tie this process to its parent, turn into the program."""
    uid, gid, when_orphaned, keep_access, parent = (int(word) for word in arguments[:5])
    if uid >= 0:
        become(uid, gid, keep_access=bool(keep_access))
    if sys.platform == "linux" and when_orphaned:
        # After the change of user, which clears it.
        _call("prctl", PR_SET_PDEATHSIG, when_orphaned, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(128 + signal.SIGKILL)
    program = arguments[6:]
    os.execvp(program[0], program)  # noqa: S606  no shell wanted


if __name__ == "__main__":
    main(sys.argv[1:])
