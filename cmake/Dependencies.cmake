# Debian's libraries by pkg-config or config files; LibTorch as IMPORTED targets of the unpacked wheel.
#
# find_package(Torch) is not used: it enables the CUDA language and asks for a CUDA toolkit even for a CPU program.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(HDF5 REQUIRED IMPORTED_TARGET hdf5)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET sentencepiece)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)

if(DEFINED ENV{WEFT_DEPS})
  set(weft_deps_default $ENV{WEFT_DEPS})
elseif(DEFINED ENV{XDG_CACHE_HOME})
  set(weft_deps_default $ENV{XDG_CACHE_HOME}/weft)
else()
  set(weft_deps_default $ENV{HOME}/.cache/weft)
endif()
set(WEFT_DEPS ${weft_deps_default} CACHE PATH "Folder that scripts/setup.sh unpacks LibTorch into")
set(WEFT_LIBTORCH ${WEFT_DEPS}/libtorch-2.11.0 CACHE PATH "Unpacked torch wheel: holds torch/ and nvidia/")

if(NOT EXISTS ${WEFT_LIBTORCH}/torch/lib/libtorch_cpu.so)
  message(FATAL_ERROR "LibTorch is not in ${WEFT_LIBTORCH}. Run scripts/setup.sh, or set WEFT_DEPS.")
endif()

foreach(lib c10 torch_cpu)
  add_library(weft_imported_${lib} SHARED IMPORTED)
  set_target_properties(weft_imported_${lib} PROPERTIES
      IMPORTED_LOCATION ${WEFT_LIBTORCH}/torch/lib/lib${lib}.so)
endforeach()
add_library(weft_torch INTERFACE)
# The wheel's headers bring a newer fmt than the library that is linked; Debian's must come first.
find_path(FMT_HEADERS fmt/core.h PATHS /usr/include NO_DEFAULT_PATH REQUIRED)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/debian_include)
file(CREATE_LINK ${FMT_HEADERS}/fmt ${PROJECT_BINARY_DIR}/debian_include/fmt SYMBOLIC)
target_include_directories(weft_torch SYSTEM INTERFACE
    ${PROJECT_BINARY_DIR}/debian_include ${WEFT_LIBTORCH}/torch/include)
target_link_options(weft_torch INTERFACE -fopenmp)
target_compile_definitions(weft_torch INTERFACE AT_PER_OPERATOR_HEADERS)
target_link_libraries(weft_torch INTERFACE weft_imported_torch_cpu weft_imported_c10)
# libtorch_cpu needs libcudart and libcupti of the wheels beside it, found through its own rpath.
target_link_options(weft_torch INTERFACE -Wl,--allow-shlib-undefined)

# Collectives between CPUs. LibTorch exports a newer version of the same names: this one is linked first, and a test says
# which of the two is called.
find_library(GLOO_LIBRARY gloo REQUIRED)
add_library(weft_gloo INTERFACE)
target_link_libraries(weft_gloo INTERFACE ${GLOO_LIBRARY})

# One precompiled header for everything that sees tensors (docs/architecture.md, "Compile time").
add_library(weft_torch_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp)
target_link_libraries(weft_torch_pch PRIVATE weft_torch weft_flags)
target_precompile_headers(weft_torch_pch PRIVATE <ATen/core/Tensor.h>)
