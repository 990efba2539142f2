#include "kernels/prefix_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "kernels/work_log.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

struct Sizes {
  std::int64_t queries, keys;
};

const HeadLayout kLayouts[] = {{1, 1, 2}, {4, 2, 6}, {8, 1, 64}, {4, 2, 128}};
const Sizes kSizes[] = {{1, 1}, {1, 2}, {1, 9}, {3, 3}, {3, 4}, {5, 17}, {33, 40}};

at::Tensor repeated(const at::Tensor& rows, std::int64_t heads_q) {
  return rows.transpose(0, 1).repeat_interleave(heads_q / rows.size(1), 0);
}

// [heads_q, n, m]: query i of the last n sees keys up to m - n + i.
at::Tensor scores_of(const at::Tensor& q, const at::Tensor& keys) {
  const std::int64_t earlier = keys.size(0) - q.size(0);
  const at::Tensor hidden =
      test::filled({q.size(0), keys.size(0)}, at::kBool, 1.0).triu(earlier + 1);
  return (at::matmul(q.transpose(0, 1), repeated(keys, q.size(1)).transpose(-1, -2)) /
          std::sqrt(static_cast<double>(q.size(2))))
      .masked_fill(hidden, -std::numeric_limits<double>::infinity());
}

test::Tensors composition(const test::Tensors& in) {
  const at::Tensor p = at::softmax(scores_of(in[0], in[1]), -1);
  return {at::matmul(p, repeated(in[2], in[0].size(1))).transpose(0, 1)};
}

struct Case {
  at::Tensor q, keys, values, dout;

  // Keys and values as they are gathered: columns of one row.
  Case(const HeadLayout& layout, const Sizes& sizes, at::ScalarType dtype)
      : q(random_normal({sizes.queries, layout.heads_q, layout.head_dim}, dtype, 1)),
        dout(random_normal(q.sizes(), dtype, 2)) {
    const at::Tensor both =
        random_normal({sizes.keys, 2 * layout.heads_k, layout.head_dim}, dtype, 3);
    keys = both.narrow(1, 0, layout.heads_k);
    values = both.narrow(1, layout.heads_k, layout.heads_k);
  }
};

struct Result {
  at::Tensor out, lse, dq, dkeys, dvalues;
};

Result run(const Case& c, const AttentionOptions& options = {}) {
  Arena scratch{c10::Device(at::kCPU)};
  const at::ScalarType dtype = c.q.scalar_type();
  const at::ScalarType wide = test::wide_dtype(dtype);
  Result r{poisoned(c.q.sizes(), dtype), poisoned({c.q.size(1) * c.q.size(0)}, wide),
           poisoned(c.q.sizes(), dtype), test::filled(c.keys.sizes(), wide, 0.0),
           test::filled(c.keys.sizes(), wide, 0.0)};
  prefix_attention_forward(c.q, c.keys, c.values, r.out, r.lse, options, scratch);
  prefix_attention_backward(c.dout, c.q, c.keys, c.values, r.out, r.lse, r.dq, r.dkeys, r.dvalues,
                            options, scratch);
  return r;
}

void expect_precise(const HeadLayout& layout, const Sizes& sizes, at::ScalarType dtype) {
  SCOPED_TRACE(fmt::format("heads {}/{} of {}, {} of {} rows", layout.heads_q, layout.heads_k,
                           layout.head_dim, sizes.queries, sizes.keys));
  const Case c(layout, sizes, dtype);
  const auto [plain, exact] = test::evaluate(composition, {c.q, c.keys, c.values}, {c.dout});
  const Result r = run(c);
  EXPECT_TRUE(as_precise_as(r.out, plain.outputs[0], exact.outputs[0]));
  // Together, because one query of one key has gradients of zero.
  const auto joined = [](const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values) {
    const at::ScalarType type = q.scalar_type();
    return at::cat({q.flatten(), keys.to(type).flatten(), values.to(type).flatten()});
  };
  EXPECT_TRUE(as_precise_as(joined(r.dq, r.dkeys, r.dvalues),
                            joined(plain.gradients[0], plain.gradients[1], plain.gradients[2]),
                            joined(exact.gradients[0], exact.gradients[1], exact.gradients[2])));
  const auto lse = [&](at::ScalarType type) {
    return scores_of(c.q.to(type), c.keys.to(type)).logsumexp(-1).flatten();
  };
  EXPECT_TRUE(as_precise_as(r.lse, lse(dtype), lse(at::kDouble)));
}

TEST(PrefixAttention, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const HeadLayout& layout : kLayouts) {
      for (const Sizes& sizes : kSizes) {
        expect_precise(layout, sizes, dtype);
      }
    }
  });
}

// Longer than the blocks of rows and columns that the operator works in, and on both sides of where
// a CPU takes the square at the end in parts.
TEST(PrefixAttention, TakesLongPieces) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const Sizes& sizes : {Sizes{191, 700}, Sizes{192, 383}, Sizes{577, 1201}}) {
      expect_precise({4, 2, 6}, sizes, dtype);
    }
  }
}

TEST(PrefixAttention, AddsToTheGradientsOfKeysAndValues) {
  const Case c({4, 2, 6}, {5, 17}, at::kFloat);
  const Result once = run(c);
  Arena scratch{c10::Device(at::kCPU)};
  const Result r = run(c);
  prefix_attention_backward(c.dout, c.q, c.keys, c.values, r.out, r.lse, r.dq, r.dkeys, r.dvalues,
                            {}, scratch);
  EXPECT_TRUE(test::same_bits(r.dkeys, once.dkeys * 2));
  EXPECT_TRUE(test::same_bits(r.dvalues, once.dvalues * 2));
  EXPECT_TRUE(test::same_bits(r.dq, once.dq));
}

TEST(PrefixAttention, MatchesFiniteDifferences) {
  Case c({2, 1, 2}, {2, 5}, at::kDouble);
  c.keys = c.keys.contiguous();
  const Result r = run(c);
  const auto loss = [&] { return (run(c).out * c.dout).sum().item<double>(); };
  EXPECT_TRUE(test::near(r.dq, test::numeric_gradient(loss, c.q), 1e-8));
  EXPECT_TRUE(test::near(r.dkeys, test::numeric_gradient(loss, c.keys), 1e-8));
}

TEST(PrefixAttention, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Case c({4, 2, 64}, {200, 333}, dtype);
    EXPECT_TRUE(test::independent_of_threads([&] {
      const Result r = run(c);
      return test::Tensors{r.out, r.lse, r.dq, r.dkeys, r.dvalues};
    }));
  }
}

TEST(PrefixAttention, LetsNanThrough) {
  for (const at::ScalarType dtype : test::kDtypes) {
    for (const std::int64_t row : {0, 12}) {  // of the keys before the queries, and among them
      const Case c({4, 2, 6}, {5, 17}, dtype);
      c.values[row][0][0] = std::numeric_limits<double>::quiet_NaN();
      const Result r = run(c);
      EXPECT_TRUE(r.out.isnan().any().item<bool>()) << dtype << " row " << row;
      EXPECT_TRUE(r.dq.isnan().any().item<bool>()) << dtype << " row " << row;
    }
  }
}

// What the pieces of a document cost adds up to what the whole costs.
TEST(PrefixAttention, CountsTheWorkOfItsPartOfTheTriangle) {
  const auto flops = [](const Sizes& sizes) {
    const WorkLog log;
    run(Case({4, 2, 6}, sizes, at::kFloat));
    return log.entries()[0].flops + log.entries()[1].flops;
  };
  EXPECT_EQ(flops({5, 5}) + flops({12, 17}), 7.0 * 17 * 17 * 4 * 6);
}

TEST(PrefixAttention, NamesTheTensorsThatDoNotFit) {
  const auto error = [](const std::function<void(Case&)>& spoil) {
    Case c({4, 2, 6}, {5, 17}, at::kFloat);
    spoil(c);
    return test::internal_error_of([&] { run(c); });
  };
  EXPECT_THAT(error([](Case& c) {
                c.keys = poisoned({4, 2, 6}, at::kFloat);
                c.values = c.keys;
              }),
              HasSubstr("prefix attention: q is [5, 4, 6] Float, keys are [4, 2, 6] Float"));
  EXPECT_THAT(error([](Case& c) {
                c.values = poisoned({17, 2, 5}, at::kFloat);
              }),
              HasSubstr("values [17, 2, 5] Float"));
}

}  // namespace
}  // namespace weft::kernels
