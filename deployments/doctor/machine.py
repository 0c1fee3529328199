"""Checks of this machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from deployments.cluster import open_files
from deployments.cluster.ray_token import own_token
from deployments.cluster.run_folder import abandoned
from deployments.doctor.finding import Check, Finding
from deployments.serve_internals.local_rays import local_rays
from deployments.serve_internals.ray_version import PINNED
from models.catalog.paths import store
from models.engine.cores import usable_cores
from models.engine.openvino import bf16_refusal
from models.engine.saturation import saturates

GB = 1e9
MEMORY_GB = 4.0  # text and pictures in fp32 with their gateway, Ray and HAProxy take 2.7 GB; the rest is for a swap
DISK_GB = 3.0  # both models in three precisions, and Ray's logs
RUNTIMES = ("onnxruntime", "numpy", "tokenizers", "pillow")


def processor() -> Iterator[Finding]:
    """How many cores there are, and which precision suits them."""
    cores = usable_cores()
    yield Finding(
        "cores", "good" if cores > 1 else "note", f"{cores} may be used", "" if cores > 1 else "two are faster"
    )
    refusal = bf16_refusal()
    if refusal is None:
        advice = "bf16 is faster than fp32 here, at a tenth of int8's error: `precision: auto` takes it"
    elif saturates():
        advice = f"{refusal}, nor VNNI: int8 gains little here; fp32 suits it"
    else:
        advice = f"{refusal}: int8 where speed counts, fp32 where exactness does"
    yield Finding("precision", "good", advice)


def memory() -> Iterator[Finding]:
    """What is free, of memory and of disks."""
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(lines["MemAvailable"].split()[0]) * 1024 / GB
    enough = free >= MEMORY_GB
    remedy = f"{MEMORY_GB:g} GB are needed for texts and pictures; serve the text model alone, or end something"
    yield Finding("memory", "good" if enough else "wrong", f"{free:.1f} GB are free", "" if enough else remedy)
    for name, folder in (("model store", store()), ("temporary files", Path(tempfile.gettempdir()))):
        place = next(one for one in (folder, *folder.parents) if one.exists())
        space = shutil.disk_usage(place).free / GB
        if not os.access(place, os.W_OK):
            remedy = "models that are there are served; for others name another folder with EMBEDSERVE_MODELS"
            yield Finding(name, "note", f"{place} cannot be written", remedy)
        elif space < DISK_GB:
            yield Finding(name, "wrong", f"{space:.1f} GB are free in {place}", f"make room: {DISK_GB:g} GB are needed")
        else:
            yield Finding(name, "good", f"{space:.0f} GB are free in {place}")


def limits() -> Iterator[Finding]:
    """Open files, and whether the home folder keeps Ray's token."""
    hard = open_files.hard_limit()
    fewer = open_files.fitting(hard, os.environ)
    if fewer:
        (connections,) = fewer.values()
        yield Finding(
            "open files", "note", f"{hard} are allowed: HAProxy takes {connections} connections", open_files.remedy()
        )
    else:
        yield Finding("open files", "good", "enough are allowed")
    if own_token(os.environ):
        remedy = "set HOME to a folder that can be written, or RAY_AUTH_TOKEN"
        yield Finding("Ray's token", "note", "the home folder cannot keep it: commands find no service", remedy)


def leftovers() -> Iterator[Finding]:
    """What earlier runs left, and other Rays."""
    folders = abandoned()
    if folders:
        names = ", ".join(str(folder) for folder in folders)
        yield Finding("leftovers", "note", f"of runs that ended: {names}", "the next `embedserve up` clears them")
    else:
        yield Finding("leftovers", "good", "none")
    others = local_rays()
    if others:
        remedy = "start beside it: `make run BESIDE=1` or `embedserve up --beside`"
        yield Finding("Ray", "note", f"another one runs here: {', '.join(others)}", remedy)


def versions() -> Iterator[Finding]:
    """Of Ray and of what computes."""
    ray = version("ray")
    if ray == PINNED:
        yield Finding("Ray's version", "good", ray)
    else:
        what = f"{ray} is installed; the shortcuts were tested with {PINNED} and stay off"
        yield Finding(
            "Ray's version", "note", what, f"it works, more slowly; install ray=={PINNED} for all of its speed"
        )
    yield Finding("runtimes", "good", ", ".join(f"{name} {version(name)}" for name in RUNTIMES))


CHECKS: dict[str, Check] = {
    "processor": processor,
    "memory": memory,
    "limits": limits,
    "leftovers": leftovers,
    "versions": versions,
}
