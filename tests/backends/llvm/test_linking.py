"""Machine code and its constants in a process whose memory is full of large holes and blocks."""

from __future__ import annotations

import mmap
import subprocess
import sys

import pytest

# Leaves a hole of a few pages above a block of 5 GiB that is reserved and never touched: what does not fit into the
# hole goes below the block, farther away than code can address.
FAR_APART = """
import ctypes
import mmap
from netdsl_llvm.compile import load, object_code
from netdsl_llvm.target import Target

TEXT = '''
@table = internal constant [4 x float] [float 1.0, float 2.0, float 3.0, float 4.0]
define float @entry(i64 %i) {
    %place = getelementptr [4 x float], ptr @table, i64 0, i64 %i
    %value = load float, ptr %place
    ret float %value
}
'''
system = ctypes.CDLL(None)
system.mmap.restype = ctypes.c_void_p
system.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
MAP_NORESERVE = 0x4000

def reserve(size):
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    address = system.mmap(None, ctypes.c_size_t(size), 0, flags, -1, ctypes.c_long(0))
    assert address != ctypes.c_void_p(-1).value
    return address

code = object_code(TEXT, Target.host())
kept = [load(code, ["entry"])]
for pages in (1, 2, 3, 4, 8):
    for small in (1, 2, 4, 8, 16, 32, 64):
        for _ in range(200):
            reserve(small * mmap.PAGESIZE)  # the holes that are there already
    hole = reserve(pages * mmap.PAGESIZE)
    reserve(5 << 30)
    system.munmap(hole, pages * mmap.PAGESIZE)
    kept.append(load(code, ["entry"]))
for loaded in kept:
    entry = ctypes.CFUNCTYPE(ctypes.c_float, ctypes.c_int64)(loaded.address("entry"))
    assert [entry(i) for i in range(4)] == [1.0, 2.0, 3.0, 4.0]
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the number of MAP_NORESERVE is Linux's")
@pytest.mark.skipif(mmap.PAGESIZE != 4096, reason="the holes are measured for pages of 4 KiB")
def test_code_reaches_its_constants_between_large_blocks() -> None:
    done = subprocess.run([sys.executable, "-c", FAR_APART], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
