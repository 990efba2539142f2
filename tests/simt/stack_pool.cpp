#include "tests/simt/stack_pool.h"

#include <memory>
#include <vector>

namespace weft::simt {
namespace {

struct Pool {
  std::vector<std::unique_ptr<std::byte[]>> owned;
  std::vector<std::byte*> free;
};

Pool& pool() {
  static Pool pool;
  return pool;
}

}  // namespace

boost::context::stack_context StackPool::allocate() {
  Pool& stacks = pool();
  if (stacks.free.empty()) {
    stacks.owned.push_back(std::make_unique<std::byte[]>(kBytes));
    stacks.free.reserve(stacks.owned.size());  // so that giving a stack back cannot fail
    stacks.free.push_back(stacks.owned.back().get());
  }
  boost::context::stack_context stack;
  stack.size = kBytes;
  stack.sp = stacks.free.back() + kBytes;
  stacks.free.pop_back();
  return stack;
}

void StackPool::deallocate(boost::context::stack_context& stack) noexcept {
  pool().free.push_back(static_cast<std::byte*>(stack.sp) - stack.size);
}

}  // namespace weft::simt
