#include "kernels/cpu_loops.h"

#include <gmock/gmock.h>

#include <limits>
#include <vector>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

struct Args {
  const void* in;
  void* out;
};

template <typename T>
WEFT_INLINE void exp_elements(const Args& args, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) {
    store(static_cast<T*>(args.out) + i, exp_of(load(static_cast<const T*>(args.in) + i)));
  }
}
WEFT_CPU_KERNEL(exp_elements, Args)

// By the loop that the operators use, in the widest instructions this machine has.
std::vector<float> exp_by_loop(const std::vector<float>& in) {
  std::vector<float> out(in.size(), std::numeric_limits<float>::quiet_NaN());
  run_exp_elements(at::kFloat, {in.data(), out.data()}, static_cast<std::int64_t>(in.size()));
  return out;
}

// And as the compiler makes it for any x86-64.
std::vector<float> exp_one_by_one(const std::vector<float>& in) {
  std::vector<float> out;
  for (const float x : in) {
    out.push_back(exp_of(x));
  }
  return out;
}

// Every 1,013th float between -87.3 and 88.3: all exponents, both signs.
std::vector<float> sweep() {
  std::vector<float> values;
  for (const std::uint32_t sign : {0u, 0x80000000u}) {
    for (std::uint32_t bits = 0; bits < 0x42ae999au; bits += 1013) {
      values.push_back(std::bit_cast<float>(bits | sign));
    }
  }
  for (float x = -87.3f; x < 88.3f; x += 0.0007f) {
    values.push_back(x);
  }
  return values;
}

double worst_relative_error(const std::vector<float>& in, const std::vector<float>& out) {
  double worst = 0;
  for (std::size_t i = 0; i < in.size(); ++i) {
    const double exact = std::exp(static_cast<double>(in[i]));
    const double error = std::abs(static_cast<double>(out[i]) - exact) / exact;
    worst = error <= worst ? worst : error;  // NaN becomes the worst and stays
  }
  return worst;
}

TEST(CpuLoops, FastExpIsPreciseOverItsRange) {
  const std::vector<float> in = sweep();
  EXPECT_LT(worst_relative_error(in, exp_by_loop(in)), 1e-7);
  EXPECT_LT(worst_relative_error(in, exp_one_by_one(in)), 1e-7);
}

TEST(CpuLoops, FastExpIsFiniteForAnyNumberAndKeepsNan) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> in{0.0f,      -0.0f,  88.3762626647949f, 88.4f,  1e30f,
                              kInfinity, -87.4f, -kInfinity,        -1e30f, -104.0f};
  for (const auto& out : {exp_by_loop(in), exp_one_by_one(in)}) {
    EXPECT_EQ(out[0], 1.0f);
    EXPECT_EQ(out[1], 1.0f);
    for (std::size_t i = 2; i < 6; ++i) {
      EXPECT_GT(out[i], 2.3e38f) << in[i];
      EXPECT_LT(out[i], kInfinity) << in[i];
    }
    for (std::size_t i = 6; i < in.size(); ++i) {
      EXPECT_GE(out[i], 0.0f) << in[i];
      EXPECT_LT(out[i], 1.2e-38f) << in[i];
    }
  }
  const std::vector<float> nan{std::numeric_limits<float>::quiet_NaN()};
  EXPECT_TRUE(std::isnan(exp_by_loop(nan)[0]));
  EXPECT_TRUE(std::isnan(exp_one_by_one(nan)[0]));
}

TEST(CpuLoops, Bf16IsReadAndRoundedAsAtenDoes) {
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4099) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    c10::BFloat16 stored;
    store(&stored, value);
    const c10::BFloat16 wanted(value);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(load(&stored))) << bits;
      continue;
    }
    ASSERT_EQ(stored.x, wanted.x) << bits;
    ASSERT_EQ(load(&stored), static_cast<float>(wanted)) << bits;
  }
}

}  // namespace
}  // namespace weft::kernels
