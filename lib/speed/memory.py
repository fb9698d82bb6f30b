"""Memory that the process keeps between training steps."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_memory() -> None:
    """Let the process keep what it frees (with glibc; elsewhere this does nothing).

    Otherwise each large tensor is returned to the kernel when it is freed, and the next step gets it again page
    by page, each page cleared first.
    """
    if platform.libc_ver()[0] == "glibc":
        # No mapped blocks, which are returned at once, and no trimming below 2 GiB.
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
