# SPDX-License-Identifier: Apache-2.0
"""Writes an initial RAM disk (cpio, format newc: Documentation/driver-api/early-userspace/buffer-format.rst) from Python alone."""
import gzip

FOLDER, FILE, DEVICE = 0o040755, 0o100755, 0o020600


class Archive:
    """Collects members; `bytes()` is the archive, compressed unless told."""

    def __init__(self):
        self.parts = []
        self.inode = 1

    def _add(self, name, mode, data=b"", device=(0, 0)):
        fields = [self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0]
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        self.parts.append(header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4))
        self.inode += 1

    def folder(self, name):
        self._add(name, FOLDER)

    def file(self, name, data):
        self._add(name, FILE, data)

    def device(self, name, major, minor):
        self._add(name, DEVICE, device=(major, minor))

    def bytes(self, compressed=True):
        self._add("TRAILER!!!", 0)
        archive = b"".join(self.parts)
        return gzip.compress(archive, 1) if compressed else archive


INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
echo userspace
exec setsid cttyhack sh
"""


def busybox(program):
    """Gives an initial RAM disk whose /init ends in a shell of the statically linked BusyBox `program` (bytes) on the console."""
    archive = Archive()
    for name in ("bin", "dev", "proc", "tmp"):
        archive.folder(name)
    archive.device("dev/console", 5, 1)
    archive.device("dev/ttyS0", 4, 64)
    archive.device("dev/null", 1, 3)
    archive.file("bin/busybox", program)
    archive.file("init", INIT)
    return archive.bytes()
