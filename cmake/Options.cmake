# What a person or CI may choose, and the flags every target of ours is compiled with.
set(WEFT_CUDA AUTO CACHE STRING "Build the CUDA kernels: AUTO (when nvcc is found), ON, OFF")
set_property(CACHE WEFT_CUDA PROPERTY STRINGS AUTO ON OFF)
set(WEFT_PARQUET AUTO CACHE STRING "Build the module that reads Parquet: AUTO (when Arrow is unpacked), ON, OFF")
set_property(CACHE WEFT_PARQUET PROPERTY STRINGS AUTO ON OFF)
option(WEFT_BUILD_TESTS "Build the tests" ON)
option(WEFT_BUILD_BENCHMARKS "Build the benchmarks" ON)
option(WEFT_FUZZ "Build the fuzz targets alone, with clang (scripts/fuzz.sh)" OFF)
option(WEFT_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# Where scripts/bundle.sh puts the shared libraries; the build folder has nothing there.
set(CMAKE_BUILD_RPATH "$ORIGIN/../lib")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# -O2 -g1: stack traces keep line numbers at a fraction of the link time that -g costs.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header is cached only with this sloppiness; see ccache(1), "PRECOMPILED HEADERS". Base folder and no
  # hash of the build folder let a second clone use what the first one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=true ${CCACHE_PROGRAM})
endif()
find_program(LLD_PROGRAM ld.lld)
if(LLD_PROGRAM)
  add_link_options(-fuse-ld=lld)
endif()

add_library(weft_flags INTERFACE)
target_compile_options(weft_flags INTERFACE -Wall -Wextra -Wconversion -Werror)
target_include_directories(weft_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(WEFT_FUZZ)
  # What clang warns of and g++ does not is no error here. The data code has no use for OpenMP.
  target_compile_options(weft_flags INTERFACE -Wno-error)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
else()
  add_compile_options(-fopenmp)
endif()
if(WEFT_SANITIZE)
  # Instrumented, the library's own std::function looks uninitialised to GCC 12 (its bug 105562).
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
endif()
