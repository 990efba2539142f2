#pragma once

#include <boost/context/stack_context.hpp>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace weft::simt {

// AddressSanitizer follows a change of stack only when it is told before and after; without it
// these do nothing. `fake` keeps what it knows of the stack that is left.

/// The stack of the host's thread, from which fibers are resumed.
struct HostStack {
  const void* bottom = nullptr;
  std::size_t size = 0;
};

#if defined(__SANITIZE_ADDRESS__)
inline void leaving_for_fiber(void** fake, const boost::context::stack_context& stack) {
  __sanitizer_start_switch_fiber(fake, static_cast<std::byte*>(stack.sp) - stack.size, stack.size);
}
inline void back_on_host(void* fake) { __sanitizer_finish_switch_fiber(fake, nullptr, nullptr); }
/// `fake` null: the fiber ends.
inline void leaving_for_host(void** fake, const HostStack& host) {
  __sanitizer_start_switch_fiber(fake, host.bottom, host.size);
}
inline void entered_fiber(void* fake, HostStack& host) {
  __sanitizer_finish_switch_fiber(fake, &host.bottom, &host.size);
}
#else
inline void leaving_for_fiber(void**, const boost::context::stack_context&) {}
inline void back_on_host(void*) {}
inline void leaving_for_host(void**, const HostStack&) {}
inline void entered_fiber(void*, HostStack&) {}
#endif

}  // namespace weft::simt
