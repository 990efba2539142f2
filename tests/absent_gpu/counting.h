#pragma once

#include <dlfcn.h>

#include <string>

#include "tests/absent_gpu/control.h"

namespace weft::test {

/// A function of control.h; null where the stand-in is not loaded.
template <typename Function>
Function* of_stand_in(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

inline bool stand_in_is_loaded() {
  return of_stand_in<decltype(weft_absent_gpu_counts)>("weft_absent_gpu_counts") != nullptr;
}
inline void reset_counts() {
  of_stand_in<decltype(weft_absent_gpu_reset)>("weft_absent_gpu_reset")();
}
/// Since the last reset_counts.
inline WeftAbsentGpuCounts counts() {
  WeftAbsentGpuCounts result{};
  of_stand_in<decltype(weft_absent_gpu_counts)>("weft_absent_gpu_counts")(&result);
  return result;
}
inline std::string first_fault() {
  return of_stand_in<decltype(weft_absent_gpu_fault)>("weft_absent_gpu_fault")();
}
/// What the device was asked to do, "COUNT NAME" per line.
inline std::string asked_for() {
  return of_stand_in<decltype(weft_absent_gpu_names)>("weft_absent_gpu_names")();
}

}  // namespace weft::test
