#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace weft::test {

using Tensors = std::vector<at::Tensor>;

/// What the hand-written CPU loops take, and fp16, which runs the ATen composition that an operator
/// has for devices without a kernel of their own.
inline constexpr std::array kDtypes{at::kFloat, at::kDouble, at::kBFloat16, at::kHalf};

/// Runs `body` for each of kDtypes; a failure names the dtype.
void for_each_dtype(const std::function<void(at::ScalarType)>& body);

/// The dtype of sums and statistics: fp64 for fp64, else fp32.
at::ScalarType wide_dtype(at::ScalarType dtype);

/// Standard normal numbers times `scale`: the same for the same sizes and seed, up to rounding,
/// whatever the dtype.
at::Tensor random_normal(at::IntArrayRef sizes, at::ScalarType dtype, std::uint64_t seed,
                         double scale = 1.0);
at::Tensor filled(at::IntArrayRef sizes, at::ScalarType dtype, double value);
/// NaN everywhere: an output that an operator leaves unwritten shows.
at::Tensor poisoned(at::IntArrayRef sizes, at::ScalarType dtype);

/// A copy of the rows [T, width] in rows that are `spare` columns wider, NaN behind each.
at::Tensor padded(const at::Tensor& rows, std::int64_t spare);
/// Whether what is behind the rows of `padded` is as it was.
::testing::AssertionResult left_alone_behind(const at::Tensor& rows);

/// The tolerance rule for a fused operator: its largest error against the fp64 reference is at most
/// twice that of the plain composition of ATen operators in the same precision, plus a few
/// roundings of the largest element. A failure names the worst element. Anything not finite fails.
::testing::AssertionResult as_precise_as(const at::Tensor& actual, const at::Tensor& plain,
                                         const at::Tensor& reference);
/// The largest |actual - reference| is at most `tolerance`.
::testing::AssertionResult near(const at::Tensor& actual, const at::Tensor& reference,
                                double tolerance);
/// The same sizes, dtype and bits.
::testing::AssertionResult same_bits(const at::Tensor& actual, const at::Tensor& expected);

/// A function of tensors written with plain ATen operators that autograd can go through.
using Composition = std::function<Tensors(const Tensors& inputs)>;

struct Evaluation {
  Tensors outputs;
  Tensors gradients;  ///< one per input: the gradient of sum over i of <outputs[i], weights[i]>
};

/// What a fused operator is compared with.
struct Oracle {
  Evaluation plain;  ///< the composition in the inputs' dtype
  Evaluation exact;  ///< the same in fp64
};

/// Runs the composition and autograd over it. `weights` are the gradients of the outputs.
Oracle evaluate(const Composition& composition, const Tensors& inputs, const Tensors& weights);

/// Central differences in fp64 of `function` at `point` (fp64; changed and put back).
at::Tensor numeric_gradient(const std::function<double()>& function, const at::Tensor& point);

/// Whether `body` gives the same bits with one thread and with two.
::testing::AssertionResult independent_of_threads(const std::function<Tensors()>& body);

/// The message of the internal Error that `body` throws, or a text that says what happened instead.
std::string internal_error_of(const std::function<void()>& body);

}  // namespace weft::test
