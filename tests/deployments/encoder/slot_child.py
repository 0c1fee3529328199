"""Another process beside the tests of slots: it does what each line of its input says, and answers with a line."""

from __future__ import annotations

import json
import sys

import numpy as np

from deployments.contract.pixel_places import Place, Segment
from deployments.encoder.pixel_slots import PixelSlots
from deployments.encoder.slot_writer import SlotWriter

SHAPE = (4, 5, 3)


def main() -> None:
    writer, owned = SlotWriter(), []
    for line in sys.stdin:
        said = json.loads(line)
        answer: object = True
        if said["do"] == "own":
            owned.append(slots := PixelSlots(2, 60))
            answer = [*slots.segment], slots.take(1)[0]
        else:
            segment, place = Segment(*said["segment"]), Place(*said["place"])
            if said["do"] == "write":
                answer = writer.write(segment, place, np.full(SHAPE, said["value"], np.uint8))
            else:  # begins to copy, and never ends
                mapped = writer._mapped(segment)
                answer = mapped is not None and mapped.lock(place.slot)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
