# How the guest is started: its command line, then its modules (a file beside this one and a text).
append first second=2 third
module multiboot.module one a=b
module multiboot.module two with a, comma
