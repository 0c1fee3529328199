"""Requests of one shape, each with inputs that no other request has: as a script for wrk, and as bytes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.loads import pictures
from bench.loads.pictures import DIGITS, Scene
from bench.loads.texts import BASE, PREFIX, Texts

POOL = 64  # inputs that a load on the cache repeats
JSON = "application/json"
SLOT = "<input>"


class Body(Protocol):
    """A shape of request."""

    @property
    def path(self) -> str:
        """The route of the request."""
        ...

    @property
    def content_type(self) -> str:
        """Of the body."""
        ...

    def script(self, folder: Path, first: int) -> str:
        """Lua for wrk that makes requests from the number ``first`` on; files that it reads go into ``folder``."""
        ...

    def data(self, number: int) -> bytes:
        """The body of one request; another number gives other inputs."""
        ...


@dataclass(frozen=True)
class TextBody:
    """A JSON list of texts."""

    path: str
    model: str
    texts: Texts
    items: int
    cached: bool = False
    content_type: str = JSON

    def data(self, number: int) -> bytes:
        """The body of request ``number``."""
        if self.cached:
            number %= POOL
        return self.around(self.texts.batch(number * self.items, self.items))

    def around(self, texts: list[str]) -> bytes:
        """A body of given texts."""
        return json.dumps({"model": self.model, "input": texts}, separators=(",", ":")).encode()

    def script(self, folder: Path, first: int) -> str:
        """The same bodies, written by Lua."""
        head, tail = self.around([SLOT]).decode().split(f'"{SLOT}"')
        (folder / "words").write_text("\n".join(self.texts.words), encoding="utf-8")
        (folder / "fillers").write_text("\n".join(self.texts.fillers), encoding="utf-8")
        return f"""
local function lines(path)
  local rows = {{}}
  for line in io.lines(path) do rows[#rows + 1] = line end
  return rows
end
local words, fillers = lines("{folder}/words"), lines("{folder}/fillers")
local floor, number, headers = math.floor, {first}, {{["content-type"] = "{self.content_type}"}}
local function text(n)
  local parts, rest = {{}}, n
  for i = 1, {PREFIX} do parts[i] = words[rest % {BASE} + 1]; rest = floor(rest / {BASE}) end
  parts[{PREFIX} + 1] = fillers[n % #fillers + 1]
  return '"' .. table.concat(parts, " ") .. '"'
end
function request()
  local texts, start = {{}}, number{f" % {POOL}" if self.cached else ""}
  for i = 1, {self.items} do texts[i] = text(start * {self.items} + i - 1) end
  number = number + 1
  return wrk.format("POST", "{self.path}", headers, {_lua(head)} .. table.concat(texts, ",") .. {_lua(tail)})
end
"""


@dataclass(frozen=True)
class PictureBody:
    """One JPEG: the body itself, or a data URI in JSON."""

    path: str
    model: str
    as_base64: bool = False
    modality: bool = False  # whether the server must be told that the input is a picture

    @property
    def content_type(self) -> str:
        """JPEG or JSON."""
        return JSON if self.as_base64 else "image/jpeg"

    def data(self, number: int) -> bytes:
        """The body of request ``number``."""
        scene = pictures.scenes()[number % len(pictures.scenes())]
        if not self.as_base64:
            return scene.raw(number)
        head, rest = self._parts(scene)
        return head + pictures.digits(number).encode() + rest

    def _parts(self, scene: Scene) -> tuple[bytes, bytes]:
        if not self.as_base64:
            return scene.head, scene.rest
        document = {"model": self.model, "input": [f"data:image/jpeg;base64,{SLOT}"]}
        if self.modality:
            document["modality"] = "image"
        before, after = json.dumps(document, separators=(",", ":")).split(SLOT)
        return (before + scene.head_base64).encode(), (scene.rest_base64 + after).encode()

    def script(self, folder: Path, first: int) -> str:
        """The same bodies, put together by Lua."""
        for index, scene in enumerate(pictures.scenes()):
            head, rest = self._parts(scene)
            (folder / f"rest{index}").write_bytes(rest)
            (folder / "head").write_bytes(head)
        number = f'string.format("%0{DIGITS}.0f", number)'
        slot = number if self.as_base64 else f"decode({number})"
        return f"""
local function content(path) local file = io.open(path, "rb"); local all = file:read("*a"); file:close(); return all end
local function decode(text)
  return (text:gsub("....", function(four)
    local n = 0
    for i = 1, 4 do n = n * 64 + four:byte(i) + 4 end
    return string.char(math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
  end))
end
local head, rests, number = content("{folder}/head"), {{}}, {first}
for i = 0, {len(pictures.scenes()) - 1} do rests[i] = content("{folder}/rest" .. i) end
local headers = {{["content-type"] = "{self.content_type}"}}
function request()
  local body = head .. {slot} .. rests[number % {len(pictures.scenes())}]
  number = number + 1
  return wrk.format("POST", "{self.path}", headers, body)
end
"""


def _lua(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
