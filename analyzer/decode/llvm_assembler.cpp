// SPDX-License-Identifier: Apache-2.0
// LLVM MC as an assembler: text to an ELF object in memory, whose one section is then linked here.
#include <memory>
#include <mutex>

#include <fmt/format.h>
#include <llvm/MC/MCAsmBackend.h>
#include <llvm/MC/MCAsmInfo.h>
#include <llvm/MC/MCCodeEmitter.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/MCInstrInfo.h>
#include <llvm/MC/MCObjectFileInfo.h>
#include <llvm/MC/MCObjectWriter.h>
#include <llvm/MC/MCParser/MCAsmParser.h>
#include <llvm/MC/MCParser/MCTargetAsmParser.h>
#include <llvm/MC/MCRegisterInfo.h>
#include <llvm/MC/MCStreamer.h>
#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/MCTargetOptions.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/SourceMgr.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Triple.h>

#include "decode/assembler.h"

namespace trapline::decode {
namespace {

using llvm::object::ObjectFile;
using llvm::object::SectionRef;
using llvm::object::SymbolRef;

constexpr unsigned kIntelSyntax = 1;

const char* triple_name(Mode mode) {
    switch (mode) {
        case Mode::real16:
        case Mode::protected16: return "i386-unknown-elf-code16";
        case Mode::protected32: return "i386-unknown-elf";
        case Mode::long64: return "x86_64-unknown-elf";
    }
    return "x86_64-unknown-elf";
}

/// Keeps the first error that LLVM reports; what follows is mostly its consequence.
struct FirstDiagnostic {
    std::string message;

    void take(const llvm::SMDiagnostic& diagnostic) {
        if (diagnostic.getKind() != llvm::SourceMgr::DK_Error || !message.empty()) return;
        message = fmt::format("line {}: {}: {}", diagnostic.getLineNo(), diagnostic.getMessage().str(),
                              llvm::StringRef(diagnostic.getLineContents()).trim().str());
    }
};

/// Takes the value out of an llvm::Expected; a failure becomes our error.
template <class T>
Result<T> unwrap(llvm::Expected<T> value, std::string_view doing) {
    if (value) return std::move(*value);
    return fail(ErrorCode::malformed, fmt::format("{}: {}", doing, llvm::toString(value.takeError())));
}

/// Assembles into an ELF object. Every part refers to those before it, so they are made and destroyed in this order.
Result<llvm::SmallVector<char, 0>> assemble_object(std::string_view text, Mode mode) {
    static std::once_flag registered;
    std::call_once(registered, [] {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmParser();
    });
    const llvm::Triple triple(triple_name(mode));
    std::string lookup_error;
    const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple.str(), lookup_error);
    TRAPLINE_ASSERT(target != nullptr, "the LLVM that is linked has no X86 target");
    const llvm::MCTargetOptions options;
    const std::unique_ptr<llvm::MCRegisterInfo> registers(target->createMCRegInfo(triple.str()));
    const std::unique_ptr<llvm::MCAsmInfo> syntax(target->createMCAsmInfo(*registers, triple.str(), options));
    const std::unique_ptr<llvm::MCSubtargetInfo> subtarget(target->createMCSubtargetInfo(triple.str(), "", ""));
    const std::unique_ptr<llvm::MCInstrInfo> instructions(target->createMCInstrInfo());

    FirstDiagnostic first;
    llvm::SourceMgr source;
    source.AddNewSourceBuffer(llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(text.data(), text.size()), "assembly"), llvm::SMLoc());
    source.setDiagHandler([](const llvm::SMDiagnostic& diagnostic, void* keeper) { static_cast<FirstDiagnostic*>(keeper)->take(diagnostic); }, &first);
    llvm::MCContext context(triple, syntax.get(), registers.get(), subtarget.get(), &source, &options);
    // Errors found at layout (a value out of range) take this way.
    context.setDiagnosticHandler([&](const llvm::SMDiagnostic& diagnostic, bool, const llvm::SourceMgr&, std::vector<const llvm::MDNode*>&) { first.take(diagnostic); });
    const std::unique_ptr<llvm::MCObjectFileInfo> sections(target->createMCObjectFileInfo(context, /*PIC=*/false));
    context.setObjectFileInfo(sections.get());

    llvm::SmallVector<char, 0> object;
    llvm::raw_svector_ostream stream(object);
    std::unique_ptr<llvm::MCAsmBackend> backend(target->createMCAsmBackend(*subtarget, *registers, options));
    std::unique_ptr<llvm::MCObjectWriter> writer = backend->createObjectWriter(stream);
    std::unique_ptr<llvm::MCCodeEmitter> emitter(target->createMCCodeEmitter(*instructions, context));
    const std::unique_ptr<llvm::MCStreamer> streamer(
        target->createMCObjectStreamer(triple, context, std::move(backend), std::move(writer), std::move(emitter), *subtarget));
    const std::unique_ptr<llvm::MCAsmParser> parser(llvm::createMCAsmParser(source, context, *streamer, *syntax));
    const std::unique_ptr<llvm::MCTargetAsmParser> target_parser(target->createMCAsmParser(*subtarget, *parser, *instructions, options));
    TRAPLINE_ASSERT(target_parser, "LLVM's X86 target has no assembly parser");
    parser->setAssemblerDialect(kIntelSyntax);
    parser->setTargetParser(*target_parser);
    const bool failed = parser->Run(/*NoInitialTextSection=*/false) || context.hadError();
    if (failed || !first.message.empty())
        return fail(ErrorCode::malformed, first.message.empty() ? "LLVM refuses the text without saying why" : first.message);
    return object;
}

/// One field that a relocation fills: its width and whether it counts from its own place.
struct Field {
    unsigned bytes = 0;
    bool relative = false;
    bool is_signed = false;
};

std::optional<Field> field_of(std::uint64_t type, bool is_64) {
    using namespace llvm::ELF;
    if (is_64) switch (type) {
        case R_X86_64_64: return Field{8, false, false};
        case R_X86_64_32: return Field{4, false, false};
        case R_X86_64_32S: return Field{4, false, true};
        case R_X86_64_16: return Field{2, false, false};
        case R_X86_64_8: return Field{1, false, false};
        case R_X86_64_PC32:
        case R_X86_64_PLT32: return Field{4, true, true};
        case R_X86_64_PC16: return Field{2, true, true};
        case R_X86_64_PC8: return Field{1, true, true};
        default: return std::nullopt;
    }
    switch (type) {
        case R_386_32: return Field{4, false, false};
        case R_386_16: return Field{2, false, false};
        case R_386_8: return Field{1, false, false};
        case R_386_PC32:
        case R_386_PLT32: return Field{4, true, true};
        case R_386_PC16: return Field{2, true, true};
        case R_386_PC8: return Field{1, true, true};
        default: return std::nullopt;
    }
}

bool fits(std::uint64_t value, const Field& field, bool is_64) {
    if (field.bytes == 8) return true;
    const unsigned bits = field.bytes * 8;
    const auto as_signed = static_cast<std::int64_t>(value);
    const std::int64_t limit = std::int64_t{1} << (bits - 1);
    const bool in_signed = as_signed >= -limit && as_signed < limit;
    // 32-bit arithmetic wraps: on i386 every difference of two addresses has its field.
    if (!is_64 && field.bytes == 4) return field.relative || value >> 32 == 0 || in_signed;
    return field.is_signed ? in_signed : value >> bits == 0 || (in_signed && field.bytes < 4);
}

/// Applies the relocations of the one section as a linker would that puts it at `base`.
class Linker {
public:
    Linker(const ObjectFile& object, VirtAddr base) : object_(object), base_(base), is_64_(object.getBytesInAddress() == 8) {}

    Result<Assembled> run() {
        for (const SectionRef& section : object_.sections()) {
            if (!section.isText() && !section.isData() && !section.isBSS()) continue;
            const auto name = unwrap(section.getName(), "section name");
            if (!name) return tl::unexpected(name.error());
            if (*name == ".text") text_ = section;
            else if (section.getSize() != 0)
                return fail(ErrorCode::unsupported, fmt::format("found {} bytes in section {}, expected everything in .text", section.getSize(), name->str()));
        }
        if (!text_) return Assembled{};
        const auto contents = unwrap(text_->getContents(), ".text");
        if (!contents) return tl::unexpected(contents.error());
        out_.bytes.assign(contents->bytes_begin(), contents->bytes_end());
        for (const SymbolRef& symbol : object_.symbols()) {
            const auto name = unwrap(symbol.getName(), "symbol name");
            if (!name) return tl::unexpected(name.error());
            if (name->empty()) continue;
            const auto value = value_of(symbol);
            if (value) out_.symbols.emplace(name->str(), *value);
        }
        for (const SectionRef& holder : object_.sections()) {
            const auto relocated = unwrap(holder.getRelocatedSection(), "relocated section");
            if (!relocated || *relocated == object_.section_end() || **relocated != *text_) continue;
            for (const llvm::object::RelocationRef& relocation : holder.relocations())
                if (Status applied = apply(relocation); !applied) return tl::unexpected(applied.error());
        }
        return std::move(out_);
    }

private:
    Result<std::uint64_t> value_of(const SymbolRef& symbol) const {
        const auto flags = unwrap(symbol.getFlags(), "symbol");
        const auto name = unwrap(symbol.getName(), "symbol name");
        const auto value = unwrap(symbol.getValue(), "symbol value");
        if (!flags || !name || !value) return fail(ErrorCode::malformed, "LLVM's object has a broken symbol");
        if ((*flags & SymbolRef::SF_Undefined) != 0)
            return fail(ErrorCode::malformed, fmt::format("found the name {}, expected one that the text defines", name->str()));
        return (*flags & SymbolRef::SF_Absolute) != 0 ? *value : base_.value + *value;
    }

    Status apply(const llvm::object::RelocationRef& relocation) {
        const std::optional<Field> field = field_of(relocation.getType(), is_64_);
        if (!field) return fail(ErrorCode::unsupported, fmt::format("relocation type {} at {:#x}", relocation.getType(), relocation.getOffset()));
        // A `.set` name that is a number leaves a relocation without a symbol: the number stands in the addend.
        const auto named = relocation.getSymbol();
        const auto symbol = named == object_.symbol_end() ? Result<std::uint64_t>(0) : value_of(*named);
        if (!symbol) return tl::unexpected(symbol.error());
        const std::uint64_t offset = relocation.getOffset();
        TRAPLINE_ASSERT(offset + field->bytes <= out_.bytes.size(), "LLVM relocates a field outside its section");
        std::uint64_t addend = 0;
        if (is_64_) {  // RELA: the addend stands beside the relocation; REL: in the field itself
            const auto explicit_addend = unwrap(llvm::object::ELFRelocationRef(relocation).getAddend(), "addend");
            if (!explicit_addend) return tl::unexpected(explicit_addend.error());
            addend = static_cast<std::uint64_t>(*explicit_addend);
        } else {
            for (unsigned i = 0; i < field->bytes; ++i) addend |= std::uint64_t{out_.bytes[offset + i]} << (8 * i);
            const unsigned unused = 64 - field->bytes * 8;
            addend = static_cast<std::uint64_t>(static_cast<std::int64_t>(addend << unused) >> unused);
        }
        const std::uint64_t value = *symbol + addend - (field->relative ? base_.value + offset : 0);
        if (!fits(value, *field, is_64_))
            return fail(ErrorCode::malformed, fmt::format("found the value {:#x} for the field of {} bytes at {:#x}, expected one that fits", value, field->bytes, offset));
        for (unsigned i = 0; i < field->bytes; ++i) out_.bytes[offset + i] = static_cast<std::uint8_t>(value >> (8 * i));
        return {};
    }

    const ObjectFile& object_;
    VirtAddr base_;
    bool is_64_;
    std::optional<SectionRef> text_;
    Assembled out_;
};

}  // namespace

Result<Assembled> assemble(std::string_view text, Mode mode, VirtAddr base) {
    const auto object = assemble_object(text, mode);
    if (!object) return tl::unexpected(object.error());
    auto file = ObjectFile::createObjectFile(llvm::MemoryBufferRef(llvm::StringRef(object->data(), object->size()), "assembly"));
    if (!file) return fail(ErrorCode::malformed, "LLVM cannot read the object it wrote: " + llvm::toString(file.takeError()));
    return Linker(**file, base).run();
}

}  // namespace trapline::decode
