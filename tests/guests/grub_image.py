#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes an image by which GRUB loads a Multiboot 2 guest and its modules: a witness for the executor's own loader.

The image is one that QEMU's -kernel takes (GRUB's lnxboot.img in front of its core); the files lie in GRUB's memory disk. Needs
grub-mkimage and GRUB's modules for BIOS PCs (Debian: grub-common, grub-pc-bin)."""
import io
import pathlib
import shutil
import subprocess
import tarfile

FOLDER = pathlib.Path("/usr/lib/grub/i386-pc")
MODULES = ["multiboot2", "memdisk", "tar", "biosdisk", "boot"]


def missing():
    """Says what is not installed; None where all is there."""
    if shutil.which("grub-mkimage") is None:
        return "grub-mkimage is not installed"
    return None if (FOLDER / "lnxboot.img").exists() else f"{FOLDER} has no lnxboot.img (package grub-pc-bin)"


def write(image, guest, line, modules, scratch):
    """Writes `image`. `line` is the guest's command line, `modules` pairs of a file and its text."""
    disk = io.BytesIO()
    commands = [f"multiboot2 (memdisk)/guest {line}"]
    with tarfile.open(fileobj=disk, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.add(guest, "guest")
        for number, (path, text) in enumerate(modules):
            archive.add(path, f"module{number}")
            commands.append(f"module2 (memdisk)/module{number} {text}")
    (scratch / "disk.tar").write_bytes(disk.getvalue())
    (scratch / "grub.cfg").write_text("\n".join([*commands, "boot", ""]), encoding="ascii")
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-p", "(memdisk)", "-m", scratch / "disk.tar", "-c", scratch / "grub.cfg", "-o", scratch / "core.img", *MODULES],
                   check=True)
    image.write_bytes((FOLDER / "lnxboot.img").read_bytes() + (scratch / "core.img").read_bytes())
