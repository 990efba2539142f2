#pragma once

#include <boost/context/stack_context.hpp>
#include <cstddef>

namespace weft::simt {

/// Stacks of fibers, kept from block to block: a launch may need hundreds of thousands. One thread
/// of the host at a time.
class StackPool {
 public:
  boost::context::stack_context allocate();
  void deallocate(boost::context::stack_context& stack) noexcept;

 private:
  static constexpr std::size_t kBytes = 64 * 1024;
};

}  // namespace weft::simt
