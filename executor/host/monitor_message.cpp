// SPDX-License-Identifier: Apache-2.0
// Numbers cross as their bytes (both ends are one program), texts with their sizes in front.
#include "executor/host/monitor_message.h"

#include <cstring>
#include <type_traits>

namespace trapline::executor {
namespace {

struct Header {
    std::uint32_t kind = 0, size = 0;
};

constexpr std::size_t kLongestText = 64 << 10;

class Writer {
public:
    template <class T>
    void number(const T& value) {
        static_assert(std::has_unique_object_representations_v<T>, "padding would carry the monitor's memory");
        bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    void text(std::string_view value) {
        value = value.substr(0, kLongestText);
        number(static_cast<std::uint32_t>(value.size()));
        bytes_ += value;
    }
    std::string finish(MessageKind kind) {
        const Header header{static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(bytes_.size())};
        return std::string(reinterpret_cast<const char*>(&header), sizeof header) + bytes_;
    }

private:
    std::string bytes_;
};

class Reader {
public:
    explicit Reader(std::string_view bytes) : bytes_(bytes) {}
    template <class T>
    void number(T& value) {
        static_assert(std::has_unique_object_representations_v<T>, "not every pattern of bytes would be a value");
        if (const std::string_view from = take(sizeof value); good_) std::memcpy(&value, from.data(), sizeof value);
    }
    void text(std::string& value) {
        std::uint32_t size = 0;
        number(size);
        if (size > kLongestText) good_ = false;
        else value = take(size);
    }
    std::size_t left() const { return bytes_.size(); }
    bool complete() const { return good_ && bytes_.empty(); }

private:
    std::string_view take(std::size_t size) {
        if (!good_ || bytes_.size() < size) {
            good_ = false;
            return {};
        }
        const std::string_view taken = bytes_.substr(0, size);
        bytes_.remove_prefix(size);
        return taken;
    }
    std::string_view bytes_;
    bool good_ = true;
};

tl::unexpected<Error> nonsense(std::string_view what) {
    return fail(ErrorCode::inconsistent, "the monitor sent " + std::string(what) + ": it is broken, or the guest has taken it over (it is contained)");
}

}  // namespace

RegisterDump dump_registers(const Vcpu& vcpu) {
    RegisterDump dump;
    for (unsigned i = 0; i < dump.gpr.size(); ++i) dump.gpr[i] = vcpu.reg32(i);
    for (unsigned i = 0; i < dump.selectors.size(); ++i) {
        dump.selectors[i] = vcpu.segments[i].selector;
        dump.bases[i] = static_cast<std::uint32_t>(vcpu.segments[i].base);
    }
    const auto low = [](std::uint64_t value) { return static_cast<std::uint32_t>(value); };
    dump.eip = low(vcpu.rip);
    dump.eflags = low(vcpu.rflags);
    dump.cr0 = low(vcpu.cr0);
    dump.cr2 = low(vcpu.cr2);
    dump.cr3 = low(vcpu.cr3);
    dump.cr4 = low(vcpu.cr4);
    dump.cpl = vcpu.cpl;
    dump.gdt_base = low(vcpu.gdtr.base);
    dump.gdt_limit = vcpu.gdtr.limit;
    dump.idt_base = low(vcpu.idtr.base);
    dump.idt_limit = vcpu.idtr.limit;
    return dump;
}

std::string render_message(const Started& message) {
    Writer writer;
    writer.number(message.entry);
    writer.number(message.layers);
    writer.text(message.protocol);
    writer.text(message.command_line);
    return writer.finish(MessageKind::started);
}

std::string render_message(const Ended& message) {
    Writer writer;
    writer.number(message.numbers);
    writer.text(message.detail);
    writer.text(message.screen);
    for (const SiteRecord& site : message.sites) writer.number(site);
    return writer.finish(MessageKind::ended);
}

std::string render_message(const Error& error) {
    Writer writer;
    writer.number(static_cast<std::uint32_t>(error.code));
    writer.number(static_cast<std::uint32_t>(error.offset.has_value()));
    writer.number(error.offset.value_or(0));
    writer.text(error.message);
    writer.text(error.file);
    return writer.finish(MessageKind::failed);
}

Result<std::uint32_t> MessageReader::next() {
    Header header;
    if (bytes_.size() < sizeof header) return std::uint32_t{0};
    std::memcpy(&header, bytes_.data(), sizeof header);
    if (header.size > kLargest || header.kind < 1 || header.kind > 3) return nonsense("a message of no known kind");
    return bytes_.size() - sizeof header < header.size ? std::uint32_t{0} : header.kind;
}

std::string MessageReader::take() {
    Header header;
    std::memcpy(&header, bytes_.data(), sizeof header);
    std::string payload = bytes_.substr(sizeof header, header.size);
    bytes_.erase(0, sizeof header + header.size);
    return payload;
}

Result<Started> MessageReader::take_started() {
    const std::string payload = take();
    Reader reader(payload);
    Started message;
    reader.number(message.entry);
    reader.number(message.layers);
    reader.text(message.protocol);
    reader.text(message.command_line);
    if (!reader.complete()) return nonsense("a broken message");
    return message;
}

Result<Ended> MessageReader::take_ended() {
    const std::string payload = take();
    Reader reader(payload);
    Ended message;
    reader.number(message.numbers);
    reader.text(message.detail);
    reader.text(message.screen);
    message.sites.resize(reader.left() / sizeof(SiteRecord));
    for (SiteRecord& site : message.sites) reader.number(site);
    if (!reader.complete()) return nonsense("a broken message");
    return message;
}

Result<Error> MessageReader::take_failed() {
    const std::string payload = take();
    Reader reader(payload);
    std::uint32_t code = 0, has_offset = 0;
    std::uint64_t offset = 0;
    Error error;
    reader.number(code);
    reader.number(has_offset);
    reader.number(offset);
    reader.text(error.message);
    reader.text(error.file);
    if (!reader.complete() || code > static_cast<std::uint32_t>(ErrorCode::host_limit)) return nonsense("a broken message");
    error.code = static_cast<ErrorCode>(code);
    if (has_offset != 0) error.offset = offset;
    return error;
}

}  // namespace trapline::executor
