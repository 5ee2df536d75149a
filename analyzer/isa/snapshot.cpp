// SPDX-License-Identifier: Apache-2.0
// The members of each type of the database. What a list leaves out is not in the snapshot.
#include "isa/snapshot.h"

#include "isa/snapshot_archive.h"

// Not in an unnamed namespace: the archive finds them by their argument's type, which looks in none.
namespace trapline::isa {

template <class Archive> void members(Archive& a, Guard::Node& node) { a(node.op, node.left, node.right); }
template <class Archive> void members(Archive& a, Guard& guard) { a(guard.nodes_, guard.atoms_, guard.text_); }

template <class Archive> void members(Archive& a, Resource& resource) { a(resource.id, resource.kind, resource.title); }
template <class Archive> void members(Archive& a, Atom& atom) { a(atom.id, atom.axis, atom.domain, atom.token, atom.vmm, atom.title); }
template <class Archive> void members(Archive& a, ExitControl& control) { a(control.control, control.code, control.title); }
template <class Archive> void members(Archive& a, Example& example) { a(example.bytes, example.mode, example.text); }
template <class Archive> void members(Archive& a, Effect& effect) { a(effect.resource, effect.when, effect.otherwise); }
template <class Archive> void members(Archive& a, Fault& fault) { a(fault.vector, fault.cause, fault.when); }
template <class Archive> void members(Archive& a, Exit& exit) { a(exit.always, exit.control, exit.also, exit.reason); }
template <class Archive> void members(Archive& a, Virtualization& how) { a(how.emulate, how.hypercall, how.translate, how.why); }
template <class Archive> void members(Archive& a, Source& source) { a(source.doc, source.section); }
template <class Archive> void members(Archive& a, Override& forced) { a(forced.tag, forced.value, forced.reason, forced.source); }
template <class Archive> void members(Archive& a, Encoding& e) {
    a(e.map, e.opcode, e.prefix.bits, e.has_modrm, e.mod, e.reg_mask, e.rm_mask, e.imm, e.osize, e.osize64, e.asize, e.w, e.rex_b, e.requires_rex2, e.l_mask,
      e.vvvv_unused, e.lock_allowed, e.requires_lock, e.modes.bits, e.rules.bits);
}
template <class Archive> void members(Archive& a, Record& r) {
    a(r.id, r.mnemonic, r.family, r.stem, r.operands, r.variant, r.encoding, r.examples, r.reads, r.writes, r.faults, r.vmx, r.svm, r.virtualization, r.feature,
      r.gate, r.vendor, r.since, r.until, r.sources, r.overrides, r.file, r.pointer);
}
template <class Archive> void members(Archive& a, InnocuousForm& form) {
    a(form.mnemonic, form.family, form.slots, form.encodings, form.feature, form.vendor, form.since, form.until, form.sources, form.file, form.pointer);
}
template <class Archive> void members(Archive& a, Profile& p) {
    a(p.id, p.title, p.why, p.deprivileged_cpl, p.modes.bits, p.era, p.vendors, p.fixed, p.vmm, p.exits, p.all_exit_controls, p.exit_controls, p.guest_owned,
      p.guest_loaded, p.file);
}
template <class Archive> void members(Archive& a, AbiCall& call) {
    a(call.means, call.name, call.number, call.command, call.command_number, call.offset, call.size);
}
template <class Archive> void members(Archive& a, AbiOperation& operation) {
    a(operation.operation, operation.forms, operation.fit, operation.calls, operation.note, operation.sources);
}
template <class Archive> void members(Archive& a, AbiField& field) { a(field.name, field.page, field.offset, field.size, field.title); }
template <class Archive> void members(Archive& a, VirtAddr& address) { a(address.value); }
template <class Archive> void members(Archive& a, AbiArea& area) { a(area.mode, area.stubs.begin, area.stubs.end, area.gate, area.vcpu, area.pending); }
template <class Archive> void members(Archive& a, AbiTemplate& made) {
    a(made.forms, made.title, made.mode, made.operand_sizes, made.lines, made.calls_vmm, made.anywhere, made.stack_bytes);
}
template <class Archive> void members(Archive& a, Abi& abi) {
    a(abi.id, abi.name, abi.title, abi.major_version, abi.minor_version, abi.skipped_parts, abi.areas, abi.fields, abi.operations, abi.templates, abi.sources,
      abi.file);
}
template <class Archive> void members(Archive& a, Database& database) {
    a(database.resources, database.atoms, database.records, database.innocuous, database.profiles, database.abis, database.vmx_controls, database.svm_controls,
      database.retired_ids, database.version);
}

std::string write_snapshot(const Database& database) {
    return to_snapshot(database);
}

Database read_snapshot(std::string_view bytes) {
    Database database = from_snapshot<Database>(bytes);
    database.index();
    return database;
}

}  // namespace trapline::isa
