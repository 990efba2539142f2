#include "kernels/lora_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/mm.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "kernels/dropout.h"
#include "tests/support/fp8_testing.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::filled;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

constexpr double kOldGradient = 1.0;
constexpr DropoutKey kKey{11, 500};

// A projection of `out` columns with three adapters of different ranks, as q, k and v have: columns
// between and after them stay without one.
struct Case {
  at::ScalarType dtype;
  at::Tensor x, weight, dy, grad_weight;
  LoraGroup lora;

  Case(std::int64_t tokens, std::int64_t in, at::ScalarType type, double dropout_probability)
      : dtype(type),
        x(random_normal({tokens, in}, type, 1)),
        weight(random_normal({20, in}, type, 2)),
        dy(random_normal({tokens, 20}, type, 3)),
        grad_weight(filled({20, in}, test::wide_dtype(type), kOldGradient)) {
    lora.a = random_normal({8, in}, type, 4);
    lora.grad_a = filled(lora.a.sizes(), test::wide_dtype(type), kOldGradient);
    lora.dropout = dropout_probability;
    add_slice(0, 7, 4, 2.0);
    add_slice(7, 3, 1, 0.5);
    add_slice(12, 5, 3, 1.0);
  }

  void add_slice(std::int64_t begin, std::int64_t out, std::int64_t rank, double scale) {
    const at::Tensor b =
        random_normal({out, rank}, dtype, static_cast<std::uint64_t>(5 + begin), 0.5);
    lora.slices.push_back(
        {begin, b, filled(b.sizes(), test::wide_dtype(dtype), kOldGradient), scale});
  }

  // Keep factors of one slice's mask: dropout of ones.
  [[nodiscard]] at::Tensor mask(std::size_t slice, bool training) const {
    at::Tensor ones = filled(x.sizes(), at::kDouble, 1.0);
    if (training && lora.dropout != 0.0) {
      dropout(ones, lora.dropout, kKey.seed, kKey.stream + slice, ones);
    }
    return ones;
  }

  [[nodiscard]] test::Composition composition(bool training) const {
    return [*this, training](const test::Tensors& in) {
      at::Tensor y = at::mm(in[0], in[1].t());
      std::int64_t rank = 0;
      for (std::size_t i = 0; i < lora.slices.size(); ++i) {
        const LoraSlice& slice = lora.slices[i];
        const at::Tensor& b = in[3 + i];
        const at::Tensor dropped = in[0] * mask(i, training).to(in[0].scalar_type());
        const at::Tensor part =
            at::mm(at::mm(dropped, in[2].narrow(0, rank, b.size(1)).t()), b.t()) * slice.scale;
        y = y + at::constant_pad_nd(part, {slice.out_begin, 20 - slice.out_begin - b.size(0)}, 0.0);
        rank += b.size(1);
      }
      return test::Tensors{y};
    };
  }

  [[nodiscard]] test::Oracle oracle(bool training) const {
    test::Tensors inputs{x, weight, lora.a};
    for (const LoraSlice& slice : lora.slices) {
      inputs.push_back(slice.b);
    }
    return test::evaluate(composition(training), inputs, {dy});
  }
};

struct Result {
  at::Tensor y, s, ds, dx;
};

Result run(const Case& c, bool training) {
  Arena scratch{c10::Device(at::kCPU)};
  const std::int64_t tokens = c.x.size(0);
  const Result r{poisoned({tokens, 20}, c.dtype), poisoned({tokens, c.lora.ranks()}, c.dtype),
                 poisoned({tokens, c.lora.ranks()}, c.dtype), poisoned(c.x.sizes(), c.dtype)};
  lora_linear_forward(c.x, c.weight, c.lora, r.y, r.s, training, kKey, scratch);
  if (training) {
    lora_linear_backward_input(c.dy, c.weight, c.lora, r.s, r.ds, r.dx, kKey, scratch);
    lora_linear_backward_weights(c.dy, c.x, c.lora, r.ds, c.grad_weight, kKey, scratch);
  }
  return r;
}

TEST(LoraLinear, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const std::int64_t tokens : {1, 2, 7, 33}) {
      for (const std::int64_t in : {1, 5, 64, 127, 130}) {
        for (const double p : {0.0, 0.3}) {
          SCOPED_TRACE(fmt::format("T {} in {} dropout {}", tokens, in, p));
          const Case c(tokens, in, dtype, p);
          const auto [plain, exact] = c.oracle(/*training=*/true);
          const Result r = run(c, /*training=*/true);
          EXPECT_TRUE(as_precise_as(r.y, plain.outputs[0], exact.outputs[0]));
          EXPECT_TRUE(as_precise_as(r.dx, plain.gradients[0], exact.gradients[0]));
          EXPECT_TRUE(as_precise_as(c.grad_weight, plain.gradients[1] + kOldGradient,
                                    exact.gradients[1] + kOldGradient));
          EXPECT_TRUE(as_precise_as(c.lora.grad_a, plain.gradients[2] + kOldGradient,
                                    exact.gradients[2] + kOldGradient));
          for (std::size_t i = 0; i < 3; ++i) {
            EXPECT_TRUE(as_precise_as(c.lora.slices[i].grad_b,
                                      plain.gradients[3 + i] + kOldGradient,
                                      exact.gradients[3 + i] + kOldGradient));
          }
        }
      }
    }
  });
}

TEST(LoraLinear, DropsNothingOutsideTraining) {
  test::for_each_dtype([](at::ScalarType dtype) {
    const Case c(7, 64, dtype, 0.3);
    const auto [plain, exact] = c.oracle(/*training=*/false);
    EXPECT_TRUE(as_precise_as(run(c, /*training=*/false).y, plain.outputs[0], exact.outputs[0]));
  });
}

TEST(LoraLinear, WithoutAdaptersIsAPlainProjection) {
  Arena scratch{c10::Device(at::kCPU)};
  Case c(7, 64, at::kFloat, 0.0);
  c.lora = {};
  EXPECT_EQ(c.lora.ranks(), 0);
  const at::Tensor y = poisoned({7, 20}, at::kFloat);
  const at::Tensor dx = poisoned({7, 64}, at::kFloat);
  lora_linear_forward(c.x, c.weight, c.lora, y, {}, /*training=*/true, kKey, scratch);
  lora_linear_backward_input(c.dy, c.weight, c.lora, {}, {}, dx, kKey, scratch);
  lora_linear_backward_weights(c.dy, c.x, c.lora, {}, {}, kKey, scratch);
  EXPECT_TRUE(test::near(y, at::mm(c.x, c.weight.t()), 1e-5));
  EXPECT_TRUE(test::near(dx, at::mm(c.dy, c.weight), 1e-5));
}

// A weight of 8-bit floats multiplies x and dy as such; the adapters take them as they are.
TEST(LoraLinear, OverAnFp8BaseOnlyTheBaseIsRounded) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Case c(7, 64, dtype, 0.3);
    Arena scratch{c10::Device(at::kCPU)};
    const Fp8Rows weight = test::quantized(c.weight);
    Case none(7, 64, dtype, 0.3);
    none.weight.zero_();
    const Result adapters = run(none, /*training=*/true);
    const Result r{poisoned({7, 20}, dtype), poisoned({7, 8}, dtype), poisoned({7, 8}, dtype),
                   poisoned({7, 64}, dtype)};
    lora_linear_forward(c.x, {weight.values, weight.scales}, c.lora, r.y, r.s, true, kKey, scratch);
    lora_linear_backward_input(c.dy, {weight.values, weight.scales}, c.lora, r.s, r.ds, r.dx, kKey,
                               scratch);
    lora_linear_backward_weights(c.dy, c.x, c.lora, r.ds, {}, kKey, scratch);
    const double tolerance = dtype == at::kFloat ? 1e-4 : 0.5;
    const at::Tensor base =
        at::mm(test::value_of(test::quantized(c.x)), test::value_of(weight).t());
    EXPECT_TRUE(test::near(r.y, base + adapters.y.to(at::kDouble), tolerance));
    const at::Tensor base_dx = at::mm(test::value_of(test::quantized(c.dy, weight.scales)),
                                      weight.values.to(at::kFloat).to(at::kDouble));
    EXPECT_TRUE(test::near(r.dx, base_dx + adapters.dx.to(at::kDouble), tolerance));
    EXPECT_TRUE(test::same_bits(r.s, adapters.s));
    EXPECT_TRUE(test::same_bits(r.ds, adapters.ds));
    EXPECT_TRUE(test::same_bits(c.lora.grad_a, none.lora.grad_a));
    EXPECT_TRUE(test::same_bits(c.lora.slices[1].grad_b, none.lora.slices[1].grad_b));

    const at::Tensor given = poisoned({7, 20}, dtype);
    lora_linear_forward(c.x, {weight.values, weight.scales}, c.lora, given, r.s, true, kKey,
                        scratch, test::quantized(c.x));
    EXPECT_TRUE(test::same_bits(given, r.y));
    const at::Tensor given_dx = poisoned({7, 64}, dtype);
    lora_linear_backward_input(c.dy, {weight.values, weight.scales}, c.lora, r.s, r.ds, given_dx,
                               kKey, scratch, test::quantized(c.dy, weight.scales));
    EXPECT_TRUE(test::same_bits(given_dx, r.dx));
  }
}

// The first layer's input needs no gradient, frozen weights and B matrices have none.
TEST(LoraLinear, LeavesOutGradientsThatAreNotWanted) {
  Arena scratch{c10::Device(at::kCPU)};
  const Case all(7, 64, at::kFloat, 0.3);
  const Result wanted = run(all, /*training=*/true);
  Case some(7, 64, at::kFloat, 0.3);
  some.lora.slices[1].grad_b = at::Tensor();
  const at::Tensor ds = poisoned(wanted.ds.sizes(), at::kFloat);
  lora_linear_backward_input(some.dy, some.weight, some.lora, wanted.s, ds, {}, kKey, scratch);
  lora_linear_backward_weights(some.dy, some.x, some.lora, ds, {}, kKey, scratch);
  EXPECT_TRUE(test::same_bits(ds, wanted.ds));
  EXPECT_TRUE(test::same_bits(some.lora.grad_a, all.lora.grad_a));
  EXPECT_TRUE(test::same_bits(some.lora.slices[2].grad_b, all.lora.slices[2].grad_b));
  EXPECT_TRUE(test::near(some.grad_weight, filled({20, 64}, at::kDouble, kOldGradient), 0.0));
}

TEST(LoraLinear, NamesTheTensorOfWrongShapeOrDtype) {
  Arena scratch{c10::Device(at::kCPU)};
  const auto forward_error = [&](const Case& c, const at::Tensor& y, const at::Tensor& s) {
    return test::internal_error_of([&] {
      lora_linear_forward(c.x, c.weight, c.lora, y, s, /*training=*/true, kKey, scratch);
    });
  };
  Case c(2, 5, at::kFloat, 0.0);
  const at::Tensor y = poisoned({2, 20}, at::kFloat);
  const at::Tensor s = poisoned({2, 8}, at::kFloat);
  EXPECT_THAT(forward_error(c, y, poisoned({2, 7}, at::kFloat)),
              HasSubstr("lora_linear s is [2, 7] Float, expected [2, 8] Float"));
  EXPECT_THAT(forward_error(c, poisoned({2, 19}, at::kFloat), s), HasSubstr("[2, 19] Float"));
  EXPECT_THAT(test::internal_error_of([&] {
                lora_linear_backward_input(c.dy, c.weight, c.lora, s, poisoned({2, 7}, at::kFloat),
                                           {}, kKey, scratch);
              }),
              HasSubstr("lora_linear ds"));
  EXPECT_THAT(test::internal_error_of([&] {
                lora_linear_backward_weights(c.dy, c.x, c.lora, poisoned({2, 7}, at::kFloat), {},
                                             kKey, scratch);
              }),
              HasSubstr("lora_linear ds"));
  c.lora.a = poisoned({8, 4}, at::kFloat);
  EXPECT_THAT(forward_error(c, y, s), HasSubstr("lora_linear A is [8, 4]"));
  c.x = c.x.to(at::kDouble);
  EXPECT_THAT(forward_error(c, y, s), HasSubstr("lora_linear activations"));
}

}  // namespace
}  // namespace weft::kernels
