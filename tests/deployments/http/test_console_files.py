"""The console comes from the package, is small, and asks nobody else."""

from __future__ import annotations

import re

from deployments.http.console.routes import FILES, POLICY

NAMES = {"http://www.w3.org/2000/svg"}  # of a vocabulary: nobody asks there


def test_its_files_are_less_than_150_kilobytes_together() -> None:
    assert sum(map(len, FILES.values())) < 150_000


def test_no_file_names_another_host_and_the_policy_allows_none() -> None:
    named = {url for content in FILES.values() for url in re.findall(r"https?://[^\s\"'`<)]+", content.decode())}
    assert named <= NAMES
    assert not re.search(r"https?:|\*|unsafe", POLICY)


def test_it_keeps_nothing_in_the_browser_and_makes_no_markup_of_text() -> None:
    code = "".join(content.decode() for name, content in FILES.items() if name.endswith(".js"))
    assert not re.search(r"localStorage|sessionStorage|document\.cookie|innerHTML|insertAdjacentHTML|eval\(", code)
