#include "tests/support/tensor_testing.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/as_strided.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/error.h"

namespace weft::test {
namespace {

double largest(const at::Tensor& tensor) {
  return tensor.numel() == 0 ? 0.0 : tensor.abs().max().item<double>();
}

// Relative error that nobody has to explain. One rounding to fp16 or bf16 hides all of fp32's; fp32
// differs by the order of sums, fp64 by that of the reference itself.
double unavoidable_error(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return std::ldexp(1.0, -10);
    case at::kBFloat16:
      return std::ldexp(1.0, -7);
    case at::kFloat:
      return 8 * std::ldexp(1.0, -23);
    default:
      return 64 * std::ldexp(1.0, -52);
  }
}

Evaluation run(const Composition& composition, const Tensors& inputs, const Tensors& weights,
               at::ScalarType dtype) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) {
    leaves.push_back(input.to(dtype).clone().set_requires_grad(true));
  }
  Evaluation result;
  result.outputs = composition(leaves);
  at::Tensor total = at::full({}, 0.0, at::TensorOptions(dtype));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    total = total + (result.outputs[i] * weights[i].to(dtype)).sum();
  }
  if (!weights.empty()) {
    total.backward();
  }
  for (at::Tensor& output : result.outputs) {
    output = output.detach();
  }
  for (const at::Tensor& leaf : leaves) {
    result.gradients.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf.detach()));
  }
  return result;
}

}  // namespace

void for_each_dtype(const std::function<void(at::ScalarType)>& body) {
  for (const at::ScalarType dtype : kDtypes) {
    SCOPED_TRACE(c10::toString(dtype));
    body(dtype);
  }
}

at::ScalarType wide_dtype(at::ScalarType dtype) {
  return dtype == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor random_normal(at::IntArrayRef sizes, at::ScalarType dtype, std::uint64_t seed,
                         double scale) {
  at::Tensor values = at::empty(sizes, at::TensorOptions(at::kDouble));
  values.normal_(0.0, scale, at::detail::createCPUGenerator(seed));
  return values.to(dtype);
}

at::Tensor filled(at::IntArrayRef sizes, at::ScalarType dtype, double value) {
  return at::full(sizes, value, at::TensorOptions(dtype));
}

at::Tensor poisoned(at::IntArrayRef sizes, at::ScalarType dtype) {
  return filled(sizes, dtype, std::numeric_limits<double>::quiet_NaN());
}

::testing::AssertionResult near(const at::Tensor& actual, const at::Tensor& reference,
                                double tolerance) {
  if (actual.sizes() != reference.sizes()) {
    return ::testing::AssertionFailure()
           << "sizes " << actual.sizes() << ", expected " << reference.sizes();
  }
  const at::Tensor got = actual.to(at::kDouble).flatten();
  const at::Tensor wanted = reference.to(at::kDouble).flatten();
  const at::Tensor error = (got - wanted).abs();
  if (largest(error) <= tolerance) {  // false for NaN
    return ::testing::AssertionSuccess();
  }
  const auto index = error.argmax().item<std::int64_t>();
  return ::testing::AssertionFailure() << fmt::format(
             "element {} of {} is {:.9g}, expected {:.9g}: off by {:.3g}, allowed {:.3g}", index,
             got.numel(), got[index].item<double>(), wanted[index].item<double>(),
             error[index].item<double>(), tolerance);
}

::testing::AssertionResult as_precise_as(const at::Tensor& actual, const at::Tensor& plain,
                                         const at::Tensor& reference) {
  if (plain.sizes() != reference.sizes()) {
    return ::testing::AssertionFailure()
           << "the compositions have sizes " << plain.sizes() << " and " << reference.sizes();
  }
  const double unavoidable = unavoidable_error(plain.scalar_type()) * largest(reference);
  const double plain_error = largest(plain.to(at::kDouble) - reference.to(at::kDouble));
  return near(actual, reference, 2.0 * plain_error + unavoidable);
}

namespace {

at::Tensor bytes_of(const at::Tensor& tensor) {
  return tensor.flatten().contiguous().view(at::kByte);
}

}  // namespace

::testing::AssertionResult same_bits(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.scalar_type() != expected.scalar_type() || actual.sizes() != expected.sizes()) {
    return ::testing::AssertionFailure() << "sizes or dtypes differ";
  }
  const at::Tensor differ = bytes_of(actual) != bytes_of(expected);
  const auto bytes = differ.sum().item<std::int64_t>();
  return bytes == 0 ? ::testing::AssertionSuccess()
                    : ::testing::AssertionFailure() << bytes << " bytes differ";
}

at::Tensor padded(const at::Tensor& rows, std::int64_t spare) {
  const at::Tensor wide = poisoned({rows.size(0), rows.size(1) + spare}, rows.scalar_type());
  const at::Tensor view = wide.narrow(1, 0, rows.size(1));
  view.copy_(rows);
  return view;
}

::testing::AssertionResult left_alone_behind(const at::Tensor& rows) {
  const std::int64_t spare = rows.stride(0) - rows.size(1);
  const at::Tensor gaps = at::as_strided(rows, {rows.size(0), spare}, {rows.stride(0), 1},
                                         rows.storage_offset() + rows.size(1));
  return same_bits(gaps, poisoned(gaps.sizes(), rows.scalar_type()));
}

Oracle evaluate(const Composition& composition, const Tensors& inputs, const Tensors& weights) {
  return {run(composition, inputs, weights, inputs.front().scalar_type()),
          run(composition, inputs, weights, at::kDouble)};
}

at::Tensor numeric_gradient(const std::function<double()>& function, const at::Tensor& point) {
  constexpr double kStep = 1e-5;
  at::Tensor gradient = at::zeros_like(point);
  auto* values = point.mutable_data_ptr<double>();
  auto* slopes = gradient.mutable_data_ptr<double>();
  for (std::int64_t i = 0; i < point.numel(); ++i) {
    const double value = values[i];
    values[i] = value + kStep;
    const double above = function();
    values[i] = value - kStep;
    const double below = function();
    values[i] = value;
    slopes[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

::testing::AssertionResult independent_of_threads(const std::function<Tensors()>& body) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const Tensors alone = body();
  at::set_num_threads(2);
  const Tensors together = body();
  at::set_num_threads(before);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    const auto same = same_bits(together[i], alone[i]);
    if (!same) {
      return ::testing::AssertionFailure() << "result " << i << ": " << same.message();
    }
  }
  return ::testing::AssertionSuccess();
}

std::string internal_error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kInternal
               ? error.what()
               : fmt::format("(an error of kind {})", error.exit_code());
  } catch (const std::exception& error) {
    return fmt::format("(not weft's error) {}", error.what());
  }
  return "(nothing thrown)";
}

}  // namespace weft::test
