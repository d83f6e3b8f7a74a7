"""Memory for weights, and what gives room for them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netdsl_llvm.memory import HUGE_PAGE, aligned_zeros

RESTING = """
import json
from pathlib import Path
from netdsl_llvm.compile import load, object_code, rest
from netdsl_llvm.kernels.pack import pack_rows_text
from netdsl_llvm.target import Target

def code():
    for area in Path("/proc/self/smaps").read_text().split(" r-xp ")[1:]:
        if "llvmlite" in area.splitlines()[0]:
            return int(area.split("Rss:")[1].split()[0])

Target.host().machine()
before = code()
rest()
after = code()
load(object_code(pack_rows_text(Target.host()), Target.host()), ["netdsl_pack"])
print(json.dumps([before, after]))
"""


@pytest.mark.parametrize("floats", [0, 1, 1000, HUGE_PAGE // 4, HUGE_PAGE // 4 + 17])
def test_zeros_are_aligned(floats: int) -> None:
    memory = aligned_zeros(floats)
    assert memory.shape == (floats,)
    assert memory.dtype == np.float32
    assert memory.ctypes.data % 64 == 0
    assert not memory.any()


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the system does not say what is in memory")
def test_llvm_rests_and_works_again() -> None:
    done = subprocess.run([sys.executable, "-c", RESTING], check=True, capture_output=True, text=True)
    before, after = json.loads(done.stdout)
    assert after < before // 4
