// A projection and its adapters as one product (LoraGroup::extended) against fp64, and how much it
// moves and allocates.

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/mm.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "kernels/lora_linear.h"
#include "kernels/padded_rows.h"
#include "kernels/work_log.h"
#include "tests/support/counting_allocator.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::filled;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

constexpr double kOldGradient = 1.0;
constexpr std::int64_t kOut = 24;
const c10::Device kCpu(at::kCPU);

// An adapter on some of the packed columns.
struct Part {
  std::int64_t begin, out, rank;
  double scale;
};
const std::vector<Part> kThree{{0, 8, 4, 2.0}, {8, 8, 1, 0.5}, {16, 8, 3, 1.0}};
const std::vector<Part> kNotTheSecond{{0, 8, 5, 2.0}, {16, 8, 8, 0.25}};
const std::vector<Part> kOnlyTheFirst{{0, 12, 3, 0.5}};
const std::vector<Part> kOne{{0, kOut, 16, 2.0}};

struct Case {
  at::ScalarType dtype;
  at::Tensor x, weight, a, dy;
  test::Tensors b;
  std::vector<Part> parts;

  Case(std::int64_t tokens, std::int64_t in, at::ScalarType type, std::vector<Part> adapters)
      : dtype(type),
        x(random_normal({tokens, in}, type, 1)),
        weight(random_normal({kOut, in}, type, 2)),
        dy(random_normal({tokens, kOut}, type, 3)),
        parts(std::move(adapters)) {
    std::int64_t ranks = 0;
    for (const Part& part : parts) {
      b.push_back(random_normal({part.out, part.rank}, type,
                                static_cast<std::uint64_t>(5 + part.begin), 0.5));
      ranks += part.rank;
    }
    a = random_normal({ranks, in}, type, 4);
  }

  [[nodiscard]] test::Oracle oracle() const {
    const auto composition = [this](const test::Tensors& in) {
      at::Tensor y = at::mm(in[0], in[1].t());
      std::int64_t rank = 0;
      for (std::size_t i = 0; i < parts.size(); ++i) {
        const Part& part = parts[i];
        const at::Tensor s = at::mm(in[0], in[2].narrow(0, rank, part.rank).t());
        y = y + at::constant_pad_nd(at::mm(s, in[3 + i].t()) * part.scale,
                                    {part.begin, kOut - part.begin - part.out}, 0.0);
        rank += part.rank;
      }
      return test::Tensors{y};
    };
    test::Tensors inputs{x, weight, a};
    inputs.insert(inputs.end(), b.begin(), b.end());
    return test::evaluate(composition, inputs, {dy});
  }

  [[nodiscard]] LoraGroup plain() const {
    LoraGroup group;
    group.a = a;
    group.grad_a = filled(a.sizes(), test::wide_dtype(dtype), kOldGradient);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      group.slices.push_back({parts[i].begin, b[i],
                              filled(b[i].sizes(), test::wide_dtype(dtype), kOldGradient),
                              parts[i].scale});
    }
    return group;
  }

  // The same group around `weight`, which becomes a view of its buffer.
  [[nodiscard]] LoraGroup extended(at::Tensor& matrix) const {
    LoraGroup group = plain();
    const std::int64_t in = x.size(1);
    const std::int64_t spare = lora_spare(group.ranks(), dtype);
    group.extended = filled({kOut + spare, in + spare}, dtype, 0.0);
    matrix = group.extended.narrow(0, 0, kOut).narrow(1, 0, in);
    matrix.copy_(weight);
    group.a = group.extended.narrow(0, kOut, a.size(0)).narrow(1, 0, in);
    group.a.copy_(a);
    std::int64_t column = in;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      group.slices[i].b =
          group.extended.narrow(0, parts[i].begin, parts[i].out).narrow(1, column, parts[i].rank);
      group.slices[i].b.copy_(b[i] * parts[i].scale);  // scales are powers of two: exact
      column += parts[i].rank;
    }
    return group;
  }
};

// Rows with room behind them for s or ds, and those; or apart from each other.
struct Rows {
  at::Tensor rows, inner;

  Rows(const at::Tensor& from, const LoraGroup& lora, bool together)
      : rows(together ? test::padded(from, lora.spare()) : from.clone()),
        inner(together ? behind(rows, lora.spare())
                       : poisoned({from.size(0), lora.columns()}, from.scalar_type())) {}
};

struct Result {
  LoraGroup lora;
  at::Tensor y, dx;
};

Result run(const Case& c, bool x_together, bool dy_together) {
  Arena scratch{kCpu};
  at::Tensor weight;
  Result r{c.extended(weight), poisoned({c.x.size(0), kOut}, c.dtype),
           poisoned(c.x.sizes(), c.dtype)};
  const Rows x(c.x, r.lora, x_together);
  const Rows dy(c.dy, r.lora, dy_together);
  lora_linear_forward(x.rows, weight, r.lora, r.y, x.inner, /*training=*/true, {}, scratch);
  lora_linear_backward_input(dy.rows, weight, r.lora, x.inner, dy.inner, r.dx, {}, scratch);
  lora_linear_backward_weights(dy.rows, x.rows, r.lora, dy.inner, {}, {}, scratch);
  return r;
}

void expect_precise(const Case& c, bool x_together, bool dy_together) {
  const auto [plain, exact] = c.oracle();
  const Result r = run(c, x_together, dy_together);
  EXPECT_TRUE(as_precise_as(r.y, plain.outputs[0], exact.outputs[0]));
  EXPECT_TRUE(as_precise_as(r.dx, plain.gradients[0], exact.gradients[0]));
  EXPECT_TRUE(as_precise_as(r.lora.grad_a, plain.gradients[2] + kOldGradient,
                            exact.gradients[2] + kOldGradient));
  for (std::size_t i = 0; i < c.parts.size(); ++i) {
    EXPECT_TRUE(as_precise_as(r.lora.slices[i].grad_b, plain.gradients[3 + i] + kOldGradient,
                              exact.gradients[3 + i] + kOldGradient));
  }
}

TEST(LoraExtended, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const auto& parts : {kThree, kNotTheSecond, kOnlyTheFirst, kOne}) {
      for (const std::int64_t tokens : {1, 2, 7, 33}) {
        for (const std::int64_t in : {1, 5, 64, 127}) {
          SCOPED_TRACE(fmt::format("T {} in {} adapters {}", tokens, in, parts.size()));
          expect_precise(Case(tokens, in, dtype, parts), /*x_together=*/true, /*dy_together=*/true);
        }
      }
    }
  });
}

TEST(LoraExtended, TakesInnerActivationsThatLieApart) {
  test::for_each_dtype([](at::ScalarType dtype) {
    const Case c(7, 64, dtype, kThree);
    expect_precise(c, /*x_together=*/false, /*dy_together=*/true);
    expect_precise(c, /*x_together=*/true, /*dy_together=*/false);
  });
}

// The first layer's input needs no gradient.
TEST(LoraExtended, LeavesOutTheInputsGradient) {
  const Case c(7, 64, at::kFloat, kThree);
  const Result all = run(c, true, true);
  Arena scratch{kCpu};
  at::Tensor weight;
  const LoraGroup lora = c.extended(weight);
  const Rows x(c.x, lora, true);
  const Rows dy(c.dy, lora, true);
  lora_linear_forward(x.rows, weight, lora, all.y, x.inner, /*training=*/false, {}, scratch);
  lora_linear_backward_input(dy.rows, weight, lora, x.inner, dy.inner, {}, {}, scratch);
  lora_linear_backward_weights(dy.rows, x.rows, lora, dy.inner, {}, {}, scratch);
  EXPECT_TRUE(test::same_bits(lora.grad_a, all.lora.grad_a));
  EXPECT_TRUE(test::same_bits(lora.slices[2].grad_b, all.lora.slices[2].grad_b));
}

// What fills up the last pack behind x comes from zeros, whatever was there.
TEST(LoraExtended, FillsUpTheLastPackWithZeros) {
  const Case c(7, 64, at::kBFloat16, kOnlyTheFirst);
  Arena scratch{kCpu};
  at::Tensor weight;
  const LoraGroup lora = c.extended(weight);
  ASSERT_EQ(lora.spare(), 8);
  const Rows x(c.x, lora, true);
  lora_linear_forward(x.rows, weight, lora, poisoned({7, kOut}, c.dtype), x.inner, true, {},
                      scratch);
  EXPECT_TRUE(test::near(x.inner.narrow(1, 3, 5), filled({7, 5}, at::kDouble, 0.0), 0.0));
}

// A product reads rows in wider ones where they are: nothing but the arena's temporaries, which
// stay from call to call, is allocated.
TEST(LoraExtended, CopiesNothing) {
  test::CountingAllocator& counter = test::count_allocations();
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    SCOPED_TRACE(c10::toString(dtype));
    const Case c(256, 512, dtype, kThree);
    Arena scratch{kCpu};
    at::Tensor weight;
    const LoraGroup lora = c.extended(weight);
    const Rows x(c.x, lora, true);
    const Rows dy(c.dy, lora, true);
    const at::Tensor y = poisoned({256, kOut}, dtype);
    const at::Tensor dx = poisoned(c.x.sizes(), dtype);
    const auto step = [&] {
      lora_linear_forward(x.rows, weight, lora, y, x.inner, /*training=*/true, {}, scratch);
      lora_linear_backward_input(dy.rows, weight, lora, x.inner, dy.inner, dx, {}, scratch);
      lora_linear_backward_weights(dy.rows, x.rows, lora, dy.inner, {}, {}, scratch);
    };
    step();
    counter.forget_peak();
    const std::int64_t before = counter.current();
    step();
    EXPECT_EQ(counter.peak(), before);
  }
  counter.stop();
}

// Neither result is read, as it is where the adapters' part is added to it.
TEST(LoraExtended, WritesEachResultOnce) {
  const Case c(256, 512, at::kFloat, kThree);
  Arena scratch{kCpu};
  at::Tensor weight;
  const LoraGroup lora = c.extended(weight);
  const Rows x(c.x, lora, true);
  const Rows dy(c.dy, lora, true);
  const at::Tensor y = poisoned({256, kOut}, c.dtype);
  const at::Tensor dx = poisoned(c.x.sizes(), c.dtype);
  const auto bytes = [](const WorkLog& log) {
    std::int64_t total = 0;
    for (const Work& work : log.entries()) {
      total += work.bytes_read + work.bytes_written;
    }
    return total;
  };
  constexpr std::int64_t kFloat = 4;
  const std::int64_t spare = lora.spare();
  {
    const WorkLog log;
    lora_linear_forward(x.rows, weight, lora, y, x.inner, /*training=*/true, {}, scratch);
    EXPECT_EQ(log.entries().size(), 2U);
    EXPECT_EQ(bytes(log), kFloat * (256 * (512 + spare) + spare * 512 +
                                    (256 + kOut) * (512 + spare) + 256 * kOut));
  }
  LoraGroup frozen = lora;
  for (LoraSlice& slice : frozen.slices) {
    slice.grad_b = at::Tensor();
  }
  const WorkLog log;
  lora_linear_backward_input(dy.rows, weight, frozen, x.inner, dy.inner, dx, {}, scratch);
  EXPECT_EQ(log.entries().size(), 2U);
  EXPECT_EQ(bytes(log), kFloat * (256 * (kOut + spare) + kOut * spare +
                                  (256 + 512) * (kOut + spare) + 256 * 512));
}

TEST(LoraExtended, NamesWhatIsNotInTheBuffer) {
  const Case c(2, 5, at::kFloat, kThree);
  Arena scratch{kCpu};
  at::Tensor weight;
  LoraGroup lora = c.extended(weight);
  const Rows x(c.x, lora, true);
  const at::Tensor y = poisoned({2, kOut}, at::kFloat);
  const auto error = [&](const at::Tensor& matrix) {
    return test::internal_error_of(
        [&] { lora_linear_forward(x.rows, matrix, lora, y, x.inner, true, {}, scratch); });
  };
  EXPECT_THAT(error(weight.clone()), HasSubstr("is not the one in the extended buffer"));
  lora.dropout = 0.1;
  EXPECT_THAT(error(weight), HasSubstr("with dropout 0.1 in the extended form"));
  lora.dropout = 0.0;
  lora.extended = lora.extended.narrow(0, 0, kOut);
  EXPECT_THAT(error(weight), HasSubstr("lora_linear extended is [24, 13]"));
}

}  // namespace
}  // namespace weft::kernels
