# A VGA for QEMU, which has none otherwise here.
vga
