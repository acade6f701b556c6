"""What the program is made of, by cargo's metadata and Cargo.lock: its packages, and the C libraries inside some of them.

`.ci/sbom` lists these parts, `.ci/notices` their licences. Fetches nothing but what cargo needs to build.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

TARGET = "x86_64-unknown-linux-gnu"
OLD_SPELLING = str.maketrans({"/": " OR "})
# C libraries that packages compile: package, name, the text of its licence in the package, and what that is.
C_LIBRARIES = {
    "tikv-jemalloc-sys": ("jemalloc", "jemalloc/COPYING", "BSD-2-Clause", "https://github.com/jemalloc/jemalloc"),
    "zstd-sys": ("zstd", "zstd/LICENSE", "BSD-3-Clause", "https://github.com/facebook/zstd"),
}


@dataclass(frozen=True)
class Library:
    """A C library in a package."""

    name: str
    version: str
    text: Path
    licence: str
    source: str


class Parts:
    """The packages of this directory's program, by cargo's ids."""

    def __init__(self):
        metadata = cargo_metadata()
        self.packages = {package["id"]: package for package in metadata["packages"]}
        self.nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
        self.root = metadata["resolve"]["root"]
        in_order = lambda id: (self.packages[id]["name"], self.packages[id]["version"])
        self.used = sorted(self._built_in() - {self.root}, key=in_order)

    def _built_in(self):
        """The ids that the program is made of: what is reached without dependencies for tests and build scripts."""
        found, waiting = set(), [self.root]
        while waiting:
            id = waiting.pop()
            if id not in found:
                found.add(id)
                waiting += self.dependencies(id)
        return found

    def dependencies(self, id):
        return [one["pkg"] for one in self.nodes[id]["deps"] if any(kind["kind"] is None for kind in one["dep_kinds"])]

    def libraries(self):
        """The C libraries in these packages; the versions are behind the packages' own."""
        for id in self.used:
            package = self.packages[id]
            if package["name"] in C_LIBRARIES:
                name, text, licence, source = C_LIBRARIES[package["name"]]
                version = package["version"].partition("+")[2].removeprefix(f"{name}.").partition("-")[0]
                yield package, Library(name, version, Path(package["manifest_path"]).parent / text, licence, source)


def cargo_metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", TARGET]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def licence(package):
    """The SPDX expression of a package's licence, in today's spelling."""
    return " ".join((package["license"] or "").replace(" / ", "/").translate(OLD_SPELLING).split())
