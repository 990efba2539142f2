#include "kernels/embedding.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

constexpr std::int64_t kVocabulary = 11;

// With repetitions, the first and the last token among them.
at::Tensor tokens_of(std::int64_t count) {
  return (at::arange(count, at::TensorOptions(at::kLong)) * 5 + kVocabulary - 1)
      .remainder(kVocabulary);
}

TEST(Embedding, PicksRowsAndAddsTheirGradients) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t tokens : {0, 1, 2, 7, 33}) {
      for (const std::int64_t width : {1, 5, 64, 127, 130}) {
        SCOPED_TRACE(fmt::format("T {} H {}", tokens, width));
        const at::Tensor table = random_normal({kVocabulary, width}, dtype, 1);
        const at::Tensor dout = random_normal({tokens, width}, dtype, 2);
        const at::Tensor ids = tokens_of(tokens);
        const auto [plain, exact] = test::evaluate(
            [&](const test::Tensors& in) { return test::Tensors{at::embedding(in[0], ids)}; },
            {table}, {dout});
        const at::Tensor out = poisoned({tokens, width}, dtype);
        embedding_forward(table, ids, out);
        EXPECT_TRUE(test::same_bits(out, plain.outputs[0]));
        const at::Tensor gradient = test::filled(table.sizes(), test::wide_dtype(dtype), 3.0);
        embedding_backward(dout, ids, gradient);
        EXPECT_TRUE(
            test::as_precise_as(gradient, plain.gradients[0] + 3.0, exact.gradients[0] + 3.0));
      }
    }
  });
}

TEST(Embedding, GivesTheSameBitsForAnyNumberOfThreads) {
  const at::Tensor dout = random_normal({500, 130}, at::kFloat, 1);
  EXPECT_TRUE(test::independent_of_threads([&] {
    const at::Tensor gradient = test::filled({kVocabulary, 130}, at::kFloat, 0.0);
    embedding_backward(dout, tokens_of(500), gradient);
    return test::Tensors{gradient};
  }));
}

TEST(Embedding, NamesTheTensorOfWrongShapeOrDtype) {
  const at::Tensor table = poisoned({kVocabulary, 5}, at::kFloat);
  const auto forward = [&](const at::Tensor& out) {
    return test::internal_error_of([&] { embedding_forward(table, tokens_of(2), out); });
  };
  EXPECT_THAT(forward(poisoned({3, 5}, at::kFloat)),
              HasSubstr("embedding out is [3, 5] Float, expected [2, 5] Float"));
  EXPECT_THAT(forward(poisoned({2, 5}, at::kHalf)), HasSubstr("embedding out"));
  EXPECT_THAT(test::internal_error_of([&] {
                embedding_backward(poisoned({2, 4}, at::kFloat), tokens_of(2), table);
              }),
              HasSubstr("embedding dout"));
}

}  // namespace
}  // namespace weft::kernels
