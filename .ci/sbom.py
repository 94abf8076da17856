#!/usr/bin/env python3
"""Writes the bill of materials (CycloneDX 1.6, JSON) of what is shipped, from `cargo metadata` and Cargo.lock.

The same lock file gives the same bytes: no time and no random number stands in it. What is needed only to build is
marked `excluded`, what only tests need is left out.
"""
import json
import pathlib
import subprocess
import sys
import tomllib
import uuid

SHIPPED = ("proxy", "brain")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def reach(nodes, starts, kinds):
    """Every package that `starts` lead to by dependencies of these kinds (None is a normal one)."""
    seen, todo = set(), list(starts)
    while todo:
        package = todo.pop()
        if package not in seen:
            seen.add(package)
            dependencies = nodes[package]["deps"]
            todo += [d["pkg"] for d in dependencies if any(k["kind"] in kinds for k in d["dep_kinds"])]
    return seen


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums, scope):
    made = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"]}
    made |= {"purl": purl(package), "scope": scope}
    if package["license"]:
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = checksums.get((package["name"], package["version"]))
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        made["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return made


def main():
    all_of_it, lock = metadata(), (ROOT / "Cargo.lock").read_bytes()
    packages = {p["id"]: p for p in all_of_it["packages"]}
    nodes = {n["id"]: n for n in all_of_it["resolve"]["nodes"]}
    locked = tomllib.loads(lock.decode())["package"]
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in locked}
    starts = [i for i in all_of_it["workspace_members"] if packages[i]["name"] in SHIPPED]
    shipped, needed = reach(nodes, starts, (None,)), reach(nodes, starts, (None, "build"))
    ordered = sorted(needed, key=lambda i: (packages[i]["name"], packages[i]["version"]))
    scope = {i: "required" if i in shipped else "excluded" for i in ordered}
    version = packages[starts[0]]["version"]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, lock.hex())}",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "lightsout", "name": "lightsout", "version": version}},
        "components": [component(packages[i], checksums, scope[i]) for i in ordered],
        "dependencies": [{"ref": "lightsout", "dependsOn": sorted(purl(packages[i]) for i in starts)}]
        + [
            {
                "ref": purl(packages[i]),
                "dependsOn": sorted({purl(packages[d["pkg"]]) for d in nodes[i]["deps"] if d["pkg"] in needed} - {purl(packages[i])}),
            }
            for i in ordered
        ],
    }
    json.dump(bom, sys.stdout, indent=1, sort_keys=True)
    print()


main()
