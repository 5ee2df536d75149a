# Without APICs there is nothing to ask.
apic
