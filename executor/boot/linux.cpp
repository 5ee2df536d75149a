// SPDX-License-Identifier: Apache-2.0
// Linux by its 32-bit boot protocol (Documentation/arch/x86/boot.rst and zero-page.rst): the loader fills "boot_params" and
// jumps to the kernel in flat protected mode without paging, ESI at boot_params.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "executor/boot/loader.h"
#include "executor/device/mp_table.h"

namespace trapline::executor {
namespace {

// Where things go in low memory. All of it is below the 640 KiB line and of the kernel's 1 MiB.
constexpr std::uint32_t kMpTable = 0x10;
constexpr std::uint64_t kGdt = 0x1000, kBootParams = 0x10000, kCommandLine = 0x20000;
constexpr std::uint64_t kHighMemory = 0x100000;
constexpr std::uint16_t kCode = 0x10, kData = 0x18;  // __BOOT_CS and __BOOT_DS

// Fields of the setup header, by offset in boot_params and in the bzImage alike.
constexpr std::uint64_t kHeader = 0x1F1, kBootFlag = 0x1FE, kMagic = 0x202, kVersion = 0x206, kTypeOfLoader = 0x210, kLoadFlags = 0x211, kCode32Start = 0x214,
                        kRamdiskImage = 0x218, kRamdiskSize = 0x21C, kCmdLinePtr = 0x228, kInitrdMax = 0x22C, kAlignment = 0x230, kRelocatable = 0x234,
                        kCmdlineSize = 0x238, kXLoadFlags = 0x236, kPrefAddress = 0x258, kInitSize = 0x260;
constexpr std::uint32_t kHdrS = 0x53726448;
constexpr std::uint64_t kE820Entries = 0x1E8, kE820Table = 0x2D0, kAltMemK = 0x1E0, kExtMemK = 0x002;

/// What makes a boot shorter or possible on this virtual machine, and why. Each is left out when the user gives the parameter.
struct Parameter {
    std::string_view name, text;
};
constexpr Parameter kParameters[] = {
    {"console=", "console=ttyS0"},             // the serial line is what the user sees
    {"nokaslr", "nokaslr"},                    // a plan's addresses hold
    {"noreplace-smp", "noreplace-smp"},        // SMP alternatives are patched back and forth with thousands of CR3 loads
    {"reservetop=", "reservetop=64M"},         // the top of linear memory is the monitor's: stubs and shared page
    {"mitigations=", "mitigations=off"},       // the host has them; here they only cost
    {"no_timer_check", "no_timer_check"},      // the timer interrupt works, and does not come while nothing runs
    {"tsc=", "tsc=reliable"},                  // the guest reads the host's counter
    {"noisapnp", "noisapnp"},   // no ISA cards: probing for them takes a quarter of a second
    {"8250.nr_uarts=", "8250.nr_uarts=1"},
};

std::string complete_command_line(const BootRequest& request) {
    std::string line = request.command_line;
    if (request.exact_command_line) return line;
    const auto has = [&](std::string_view name) { return (" " + request.command_line).find(fmt::format(" {}", name)) != std::string::npos; };
    for (const Parameter& parameter : kParameters) {
        if (has(parameter.name) || (parameter.name == "nokaslr" && request.relocate)) continue;
        line += (line.empty() ? "" : " ") + std::string(parameter.text);
    }
    if (request.tsc_khz != 0 && !has("tsc_early_khz=")) line += fmt::format(" tsc_early_khz={}", request.tsc_khz);
    return line;
}

std::uint64_t get(Bytes bytes, std::uint64_t offset, unsigned size) {
    std::uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) value |= std::uint64_t{bytes[offset + i]} << (8 * i);
    return value;
}

/// Memory as the kernel is told: low memory, the hole of the PC, and the rest.
void put_memory_map(const SharedPages& ram) {
    const auto ranges = memory_map(ram);
    std::uint64_t at = kBootParams + kE820Table;
    for (const MemoryRange& range : ranges) {
        put(ram, at, range.begin, 8);
        put(ram, at + 8, range.end - range.begin, 8);
        put(ram, at + 16, range.type, 4);
        at += 20;
    }
    put(ram, kBootParams + kE820Entries, std::size(ranges), 1);
    const std::uint64_t high_kib = (ram.size() - kHighMemory) / 1024;
    put(ram, kBootParams + kExtMemK, std::min<std::uint64_t>(high_kib, 0xFC00), 2);
    put(ram, kBootParams + kAltMemK, high_kib, 4);
    // Without a table of processors where kernels look first they search all of low memory for one, 16 bytes at a time.
    const std::vector<std::uint8_t> table = mp_table(kMpTable, {});
    std::copy(table.begin(), table.end(), ram.data() + kMpTable);
}

void put_screen(const SharedPages& ram) {
    // Colour text, 80 by 25: orig_video_mode, cols, isVGA, lines, points.
    put(ram, kBootParams + 0x06, 3, 1);
    put(ram, kBootParams + 0x07, 80, 1);
    put(ram, kBootParams + 0x0E, 25, 1);
    put(ram, kBootParams + 0x0F, 1, 1);
    put(ram, kBootParams + 0x10, 16, 2);
}

/// Command line, initial RAM disk, memory map and the processor: the same for both kinds of image. `kernel_end` is where the kernel's
/// own memory ends while it starts.
Result<std::string> finish(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu, std::uint64_t kernel_end, std::uint64_t initrd_max, std::uint64_t entry) {
    const std::string line = complete_command_line(request);
    if (line.size() >= 2048) return fail(ErrorCode::refused, fmt::format("found a command line of {} characters, expected at most 2047", line.size()));
    if (Status stored = store(ram, kCommandLine, Bytes(reinterpret_cast<const std::uint8_t*>(line.c_str()), line.size() + 1), "the command line"); !stored)
        return tl::unexpected(stored.error());
    put(ram, kBootParams + kCmdLinePtr, kCommandLine, 4);
    if (!request.modules.empty()) return fail(ErrorCode::unsupported, "found modules for a Linux kernel, expected at most an initial RAM disk (--initrd); --module is for Multiboot guests", request.name);
    if (const Bytes initrd = request.initrd.bytes; !initrd.empty()) {
        const std::uint64_t top = std::min(ram.size(), initrd_max + 1);
        const std::uint64_t at = initrd.size() > top ? 0 : (top - initrd.size()) & ~std::uint64_t{0xFFF};
        if (at < kernel_end)
            return fail(ErrorCode::refused, fmt::format("the guest has {} MiB of memory: the kernel takes it up to {:#x}, and {} MiB of initrd do not fit above; give it more with --memory",
                                                        ram.size() >> 20, kernel_end, initrd.size() >> 20));
        if (Status stored = store(ram, at, initrd, "the initrd"); !stored) return tl::unexpected(stored.error());
        put(ram, kBootParams + kRamdiskImage, at, 4);
        put(ram, kBootParams + kRamdiskSize, initrd.size(), 4);
    }
    put_memory_map(ram);
    put_screen(ram);
    set_flat(vcpu, kCode, kData, entry);
    put(ram, kGdt + kCode, 0x00CF9B000000FFFF, 8);
    put(ram, kGdt + kData, 0x00CF93000000FFFF, 8);
    vcpu.gdtr = {kGdt, kData + 7};
    vcpu.idtr = {0, 0};
    vcpu.gpr.fill(0);
    vcpu.gpr[kRsi] = kBootParams;
    return line;
}

}  // namespace

Result<std::optional<BootReport>> load_linux_bzimage(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    const Bytes image = request.image;
    if (image.size() < 0x400 || get(image, kMagic, 4) != kHdrS || get(image, kBootFlag, 2) != 0xAA55) return std::nullopt;
    const auto version = static_cast<unsigned>(get(image, kVersion, 2));
    const auto describe = [&](ErrorCode code, std::string message) { return fail(code, std::move(message), request.name); };
    if (version < 0x202 || (get(image, kLoadFlags, 1) & 1) == 0)
        return describe(ErrorCode::unsupported, fmt::format("found a Linux kernel of boot protocol {}.{:02}, expected a bzImage of 2.02 or newer", version >> 8, version & 0xFF));
    constexpr std::uint64_t kKernel64 = 1;  // XLF_KERNEL_64: an entry for 64-bit mode, so the kernel itself is 64-bit
    if (version >= 0x20C && (get(image, kXLoadFlags, 2) & kKernel64) != 0)
        return describe(ErrorCode::unsupported, "found a 64-bit Linux kernel, expected a 32-bit one; 64-bit guests cannot be run yet");
    const std::uint64_t sectors = get(image, kHeader, 1), setup_bytes = ((sectors == 0 ? 4 : sectors) + 1) * 512;
    if (setup_bytes >= image.size()) return describe(ErrorCode::truncated, fmt::format("found {} bytes, expected setup code of {} bytes and a kernel behind it", image.size(), setup_bytes));
    const Bytes kernel = image.subspan(setup_bytes);
    std::uint64_t load = get(image, kCode32Start, 4);
    const bool has_sizes = version >= 0x20A;
    // A relocatable kernel is loaded where it wants to run, so that the decompressor need not move.
    if (has_sizes && get(image, kRelocatable, 1) != 0) load = get(image, kPrefAddress, 8);
    const std::uint64_t end = load + std::max<std::uint64_t>(kernel.size(), has_sizes ? get(image, kInitSize, 4) : 4 * kernel.size());
    if (ram.size() < end) return describe(ErrorCode::refused, fmt::format("the guest has {} MiB of memory, and this kernel needs {} MiB to start: give it more with --memory", ram.size() >> 20, (end + 0xFFFFF) >> 20));
    if (Status stored = store(ram, load, kernel, "the kernel"); !stored) return tl::unexpected(stored.error());
    // The header goes into boot_params as it is; it ends where the byte at 201h (the jump over it) says.
    const std::uint64_t header_end = std::min<std::uint64_t>(0x202 + get(image, 0x201, 1), 0x290);
    if (Status stored = store(ram, kBootParams + kHeader, image.subspan(kHeader, header_end - kHeader), "boot_params"); !stored) return tl::unexpected(stored.error());
    put(ram, kBootParams + kTypeOfLoader, 0xFF, 1);
    put(ram, kBootParams + kCode32Start, load, 4);
    const std::uint64_t initrd_max = version >= 0x203 ? get(image, kInitrdMax, 4) : 0x37FFFFFF;
    auto line = finish(request, ram, vcpu, end, initrd_max, load);
    if (!line) return tl::unexpected(line.error());
    return BootReport{fmt::format("Linux boot protocol {}.{:02} (bzImage)", version >> 8, version & 0xFF), *line, load, {}};
}

Result<std::optional<BootReport>> load_linux_elf(const BootRequest& request, const SharedPages& ram, Vcpu& vcpu) {
    constexpr std::string_view kBanner = "Linux version ";
    if (request.image.size() < 4 || get(request.image, 0, 4) != 0x464C457F) return std::nullopt;
    auto elf = image::read_elf(request.image, 100'000, request.name);
    if (!elf) return tl::unexpected(elf.error());
    if (elf->machine != image::elf::kEm386 || elf->type != image::elf::kEtExec) return std::nullopt;
    if (std::search(request.image.begin(), request.image.end(), kBanner.begin(), kBanner.end()) == request.image.end()) return std::nullopt;
    auto end = load_segments(*elf, request.image, ram, request.name);
    if (!end) return tl::unexpected(end.error());
    // A header as of a kernel that has none: protocol 2.12, loaded high.
    put(ram, kBootParams + kBootFlag, 0xAA55, 2);
    put(ram, kBootParams + kMagic, kHdrS, 4);
    put(ram, kBootParams + kVersion, 0x20C, 2);
    put(ram, kBootParams + kTypeOfLoader, 0xFF, 1);
    put(ram, kBootParams + kLoadFlags, 1, 1);
    put(ram, kBootParams + kAlignment, 0x1000000, 4);
    put(ram, kBootParams + kCmdlineSize, 2047, 4);
    constexpr std::uint64_t kLowmemEnd = 0x37FFFFFF;  // the usual split of 3 GiB to 1 GiB maps no more at first
    auto line = finish(request, ram, vcpu, *end, kLowmemEnd, elf->entry);
    if (!line) return tl::unexpected(line.error());
    return BootReport{"Linux (ELF file)", *line, elf->entry, text_ranges(*elf)};
}

}  // namespace trapline::executor
