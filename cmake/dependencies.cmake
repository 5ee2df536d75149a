# SPDX-License-Identifier: Apache-2.0
# Every third-party library the project links, all of them Debian packages (see packages.txt).
list(APPEND CMAKE_PREFIX_PATH /usr/lib/llvm-19)
find_package(LLVM 19.1 REQUIRED CONFIG)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(TBB REQUIRED)
find_package(LibArchive REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(CAPSTONE REQUIRED IMPORTED_TARGET capstone)
find_package(ZLIB REQUIRED)
find_package(LibLZMA REQUIRED)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
find_package(OpenSSL 3 REQUIRED)

# The parts of LLVM that are used, from its static archives: the loader spends 10 ms of every start on the relocations of
# the shared library, which holds all targets. Linking them costs two seconds.
add_library(trapline_llvm INTERFACE)
target_include_directories(trapline_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
llvm_map_components_to_libnames(llvm_parts Object MC MCParser MCDisassembler X86AsmParser X86Desc X86Disassembler X86Info)
target_link_libraries(trapline_llvm INTERFACE ${llvm_parts})
