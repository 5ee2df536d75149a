// SPDX-License-Identifier: Apache-2.0
// Starts QEMU on a memory file that both sides map.
#include "machine.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode/assembler.h"

namespace trapline::ring0 {

namespace {

constexpr std::size_t kRomBytes = 0x10000;

/// Memory of the machine, shared with the emulator through a file.
class SharedMemory {
public:
    explicit SharedMemory(const std::string& path) {
        const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (file < 0) return;
        if (::ftruncate(file, kMemorySize) == 0) {
            void* mapped = ::mmap(nullptr, kMemorySize, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
            if (mapped != MAP_FAILED) base_ = static_cast<std::uint8_t*>(mapped);
        }
        ::close(file);
    }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    ~SharedMemory() {
        if (base_ != nullptr) ::munmap(base_, kMemorySize);
    }

    bool usable() const { return base_ != nullptr; }
    template <class Range>
    void put(std::uint32_t address, const Range& range) {
        std::memcpy(base_ + address, std::data(range), std::size(range) * sizeof(*std::data(range)));
    }
    template <class Range>
    void get(std::uint32_t address, Range& range) const {
        std::memcpy(std::data(range), base_ + address, std::size(range) * sizeof(*std::data(range)));
    }
    void put_word(std::uint32_t address, std::uint32_t value) { std::memcpy(base_ + address, &value, sizeof value); }
    /// The emulator writes these words while this program waits.
    std::uint32_t word(std::uint32_t address) const { return __atomic_load_n(reinterpret_cast<const std::uint32_t*>(base_ + address), __ATOMIC_ACQUIRE); }

private:
    std::uint8_t* base_ = nullptr;
};

void put_case(SharedMemory& memory, std::size_t index, const MachineCase& input) {
    TRAPLINE_ASSERT(input.pokes.size() <= kPokes, "a case pokes more words than the layout has room for");
    const std::uint32_t at = kCases + static_cast<std::uint32_t>(index) * kCaseStride;
    memory.put(at, input.slots);
    memory.put(at + kCaseCode, input.code);
    memory.put(at + kCaseStack, input.stack);
    memory.put(at + kCaseData, input.data);
    for (std::uint32_t i = 0; i < kPokes; ++i) {
        memory.put_word(at + kCasePokes + i * 8, i < input.pokes.size() ? input.pokes[i].first : 0);
        memory.put_word(at + kCasePokes + i * 8 + 4, i < input.pokes.size() ? input.pokes[i].second : 0);
    }
}

MachineResult get_result(const SharedMemory& memory, std::size_t index) {
    MachineResult result;
    const std::uint32_t at = kResults + static_cast<std::uint32_t>(index) * kResultStride;
    result.reached = true;
    memory.get(at, result.slots);
    memory.get(at + kResultStack, result.stack);
    memory.get(at + kResultTables, result.tables);
    memory.get(at + kResultData, result.data);
    memory.get(at + kResultGdt1, result.gdt1);
    memory.get(at + kResultGdt2, result.gdt2);
    return result;
}

/// Starts `arguments` with its output in `log`; gives the process.
Result<pid_t> start(const std::vector<std::string>& arguments, const std::string& log) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child < 0) return fail(ErrorCode::host_limit, fmt::format("fork: {}", std::strerror(errno)));
    if (child == 0) {
        const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        const int in = ::open("/dev/null", O_RDONLY);
        ::dup2(in, 0);
        ::dup2(out, 1);
        ::dup2(out, 2);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    return child;
}

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

std::uint32_t Image::word(std::uint32_t address) const {
    std::uint32_t value = 0;
    std::memcpy(&value, memory.data() + address, sizeof value);
    return value;
}

Result<std::string> Emulator::version() const {
    const std::string log = scratch + "/version.txt";
    const auto child = start({program, "--version"}, log);
    if (!child) return tl::unexpected(child.error());
    int status = 0;
    ::waitpid(*child, &status, 0);
    const std::string text = text_of(log);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return fail(ErrorCode::host_limit, fmt::format("{} cannot be run (package qemu-system-x86)", program));
    return text.substr(0, text.find('\n'));
}

Result<std::vector<MachineResult>> Emulator::run(const Image& image, const std::vector<MachineCase>& cases, const std::vector<CpuidQuery>& queries,
                                                 std::vector<std::array<std::uint32_t, 4>>* answers) const {
    TRAPLINE_ASSERT(queries.size() <= kMaxQueries, "more CPUID leaves are asked for than the control block holds");
    // A far jump at the reset vector, F000:FFF0, is all the firmware there is.
    const auto reset = decode::assemble(fmt::format(".byte 0xea\n.word {}\n.word 0", kMonitor), Mode::real16, VirtAddr{0});
    if (!reset) return tl::unexpected(reset.error());
    std::vector<std::uint8_t> rom(kRomBytes, 0xFF);
    std::copy(reset->bytes.begin(), reset->bytes.end(), rom.begin() + 0xFFF0);
    const std::string rom_path = scratch + "/rom.bin", memory_path = scratch + "/memory.bin", log = scratch + "/emulator.log";
    std::ofstream(rom_path, std::ios::binary).write(reinterpret_cast<const char*>(rom.data()), static_cast<std::streamsize>(rom.size()));
    // Time counts instructions, so that a busy host cannot let the timer ring before the instruction that waits for it.
    const std::vector<std::string> arguments = {
        program, "-accel", "tcg", "-icount", "shift=0,sleep=off", "-machine", "pc,memory-backend=ram", "-m", fmt::format("{}M", kMemorySize >> 20),
        "-object", fmt::format("memory-backend-file,id=ram,size={}M,mem-path={},share=on", kMemorySize >> 20, memory_path),
        "-cpu", cpu, "-bios", rom_path, "-display", "none", "-nodefaults", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-device", "pc-testdev"};

    std::vector<MachineResult> results;
    SharedMemory memory(memory_path);
    if (!memory.usable()) return fail(ErrorCode::io, fmt::format("cannot map {} bytes", kMemorySize), memory_path);
    memory.put(0, image.memory);
    for (std::size_t first = 0; first < cases.size() || (first == 0 && !queries.empty()); first += kMaxCases) {
        const std::size_t count = std::min<std::size_t>(kMaxCases, cases.size() - first);
        for (std::size_t i = 0; i < count; ++i) put_case(memory, i, cases[first + i]);
        memory.put_word(kControl + kCount, static_cast<std::uint32_t>(count));
        memory.put_word(kControl + kQueryCount, static_cast<std::uint32_t>(queries.size()));
        for (std::size_t i = 0; i < queries.size(); ++i) {
            memory.put_word(kControl + kQueries + static_cast<std::uint32_t>(i) * 8, queries[i].leaf);
            memory.put_word(kControl + kQueries + static_cast<std::uint32_t>(i) * 8 + 4, queries[i].subleaf);
        }
        memory.put_word(kControl + kNext, 0);
        memory.put_word(kControl + kDone, 0);
        std::vector<std::string> ended(count);
        while (memory.word(kControl + kDone) == 0) {
            const std::uint32_t begin = memory.word(kControl + kNext);
            const auto child = start(arguments, log);
            if (!child) return tl::unexpected(child.error());
            std::uint32_t seen = begin;
            auto since = std::chrono::steady_clock::now();
            int status = 0;
            bool hung = false;
            while (::waitpid(*child, &status, WNOHANG) == 0) {
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
                const std::uint32_t now = memory.word(kControl + kNext);
                if (now != seen) {
                    seen = now;
                    since = std::chrono::steady_clock::now();
                } else if (std::chrono::steady_clock::now() - since > std::chrono::milliseconds(patience_ms)) {
                    hung = true;
                    ::kill(*child, SIGKILL);
                    ::waitpid(*child, &status, 0);
                    break;
                }
            }
            if (memory.word(kControl + kDone) != 0) break;
            const std::uint32_t at = memory.word(kControl + kNext);
            // A machine that ends before its first case, twice, will not get further: the emulator or the monitor is broken.
            if (at >= count) return fail(ErrorCode::host_limit, fmt::format("the emulator ended after the last case of {}: {}", count, text_of(log)));
            if (!hung && WIFEXITED(status) && WEXITSTATUS(status) != 0) return fail(ErrorCode::host_limit, fmt::format("{} failed: {}", program, text_of(log)));
            ended[at] = hung ? "nothing more happened" : "the machine shut down";
            memory.put(0, image.memory);
            memory.put_word(kControl + kCount, static_cast<std::uint32_t>(count));
            memory.put_word(kControl + kNext, at + 1);
        }
        for (std::size_t i = 0; i < count; ++i) {
            results.push_back(ended[i].empty() ? get_result(memory, i) : MachineResult{});
            results.back().ended = ended[i];
        }
        if (answers != nullptr && first == 0) {
            answers->resize(queries.size());
            for (std::size_t i = 0; i < queries.size(); ++i) memory.get(kControl + kAnswers + static_cast<std::uint32_t>(i) * 16, (*answers)[i]);
        }
        if (cases.empty()) break;
    }
    return results;
}

}  // namespace trapline::ring0
