# weft_library(NAME SOURCES ... [DEPS ...] [TORCH])
# One static library per folder. TORCH: its sources see LibTorch and the precompiled header.
function(weft_library name)
  cmake_parse_arguments(ARG "TORCH" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE weft_flags PUBLIC ${ARG_DEPS})
  if(ARG_TORCH)
    target_link_libraries(${name} PUBLIC weft_torch)
    target_precompile_headers(${name} REUSE_FROM weft_torch_pch)
  endif()
endfunction()

# The precompiled header is position-independent code; a program that uses it must be compiled the same way.
function(weft_use_torch_pch program)
  set_target_properties(${program} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${program} PRIVATE -fPIC)
  target_precompile_headers(${program} REUSE_FROM weft_torch_pch)
endfunction()

# weft_tests(FOLDER SOURCES ... [DEPS ...] [TORCH] [LABEL unit|process|slow|oracle|gpu] [PREFIX ...] [PROCESSORS n])
# One test program per folder and label, called weft_FOLDER_tests (label unit) or weft_FOLDER_LABEL_tests. PREFIX: what its
# tests' names begin with, where a second program has the same tests. PROCESSORS: how many a test keeps busy, for those with
# processes that time each other.
function(weft_tests folder)
  cmake_parse_arguments(ARG "TORCH" "LABEL;TIMEOUT;PREFIX;PROCESSORS" "SOURCES;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(NOT ARG_PROCESSORS)
    set(ARG_PROCESSORS 1)
  endif()
  set(name weft_${folder}_tests)
  if(NOT ARG_LABEL STREQUAL unit)
    set(name weft_${folder}_${ARG_LABEL}_tests)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE weft_flags ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE WEFT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  if(ARG_TORCH)
    weft_use_torch_pch(${name})
  endif()
  # Tests run side by side: threads that wait for each other by spinning would fight for the cores. A test of threads sets
  # their number itself.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${ARG_PREFIX}"
      PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
      PROCESSORS ${ARG_PROCESSORS} ENVIRONMENT "OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive")
endfunction()

# weft_oracle_test(NAME SCRIPT [ARGS ...])
# Runs tests/oracle/SCRIPT with the Python environment of scripts/oracle.sh, as test oracle.NAME. Skipped, and counted
# as skipped, where that environment is missing.
function(weft_oracle_test name script)
  add_test(NAME oracle.${name}
      COMMAND ${PROJECT_SOURCE_DIR}/scripts/oracle_run.sh ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${ARGN}
      WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  set_tests_properties(oracle.${name} PROPERTIES
      LABELS oracle TIMEOUT 600 SKIP_RETURN_CODE 77 ENVIRONMENT WEFT_DEPS=${WEFT_DEPS})
endfunction()
