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

# LLVM as a shared library: linking its static archives takes minutes on two cores.
add_library(trapline_llvm INTERFACE)
target_include_directories(trapline_llvm SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
target_link_libraries(trapline_llvm INTERFACE LLVM)
target_link_directories(trapline_llvm INTERFACE ${LLVM_LIBRARY_DIRS})
