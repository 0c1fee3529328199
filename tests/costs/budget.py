"""What reading an input may cost: processor seconds and memory, by its bytes."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Budget:
    """A fixed part, for what any input costs, and a part for each byte."""

    seconds: float
    seconds_per_mib: float
    mib: float
    bytes_per_byte: float

    def over(self, size: int, seconds: float, taken: int) -> str | None:
        """How an input of ``size`` bytes that cost so much is over the budget; None where it is not."""
        most_s = self.seconds + self.seconds_per_mib * size / MIB
        most = self.mib * MIB + self.bytes_per_byte * size
        if seconds > most_s:
            return f"{seconds:.3f} s for {size} bytes, the budget is {most_s:.3f} s"
        if taken > most:
            return f"{taken / MIB:.1f} MiB for {size} bytes, the budget is {most / MIB:.1f} MiB"
        return None


# On the gateway's event loop, where others wait meanwhile: what hashing the input for the cache costs, or little more.
EVENT_LOOP = Budget(seconds=0.005, seconds_per_mib=0.02, mib=4, bytes_per_byte=4)
# A JSON document is objects of Python before anybody can look at it: an empty list of 3 bytes takes 64.
DOCUMENT = Budget(seconds=0.01, seconds_per_mib=0.1, mib=4, bytes_per_byte=28)
# Beyond 64 KiB its values are counted first: two million numbers take 120 MB, and a text four times its bytes.
LARGE_DOCUMENT = Budget(seconds=0.05, seconds_per_mib=0.1, mib=140, bytes_per_byte=6)
# In a thread: what a body may hold, 4 MiB here, and once more while its parts are joined.
INFLATED = Budget(seconds=0.05, seconds_per_mib=0.1, mib=20, bytes_per_byte=8)
# In threads: 256 words of which each is as costly as a word can be are 50 ms, and 25 KB. Syllables of Korean, which fall into
# letters, take 25.6 MiB of 100 KB.
TOKENS = Budget(seconds=0.1, seconds_per_mib=4, mib=20, bytes_per_byte=64)
# Pictures are bounded by their limits and not by their bytes: one of the largest size allowed costs this much.
PICTURE = Budget(seconds=0.5, seconds_per_mib=1, mib=64 + 24, bytes_per_byte=8)
