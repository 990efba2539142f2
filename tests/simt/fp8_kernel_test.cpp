// The kernels that write rows of e4m3 numbers: the bits that LibTorch's own conversion gives, those
// of the CPU's loops at real widths, and what they move.
#include <ATen/ops/arange.h>
#include <c10/util/Float8_e4m3fn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "kernels/cuda/platform.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "tests/simt/device.h"
#include "tests/simt/traffic.h"
#include "tests/support/fp8_testing.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using simt::Device;
using simt::read_once;
using simt::written_once;
using test::poisoned;
using test::poisoned_fp8;
using test::random_normal;

constexpr int kRows = 2;

TEST(E4m3, EveryBf16RoundsAsC10Does) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const float x = cuda::float_of_bf16(static_cast<std::uint16_t>(bits));
    const unsigned pair = cuda::e4m3_pair(x, 1.0f);
    const unsigned swapped = cuda::e4m3_pair(1.0f, x);
    ASSERT_EQ(pair >> 8, 0x38u) << "one";
    ASSERT_EQ(swapped, (pair & 0xffu) << 8 | 0x38u);
    unsigned wanted = c10::Float8_e4m3fn(x).x;
    if (std::isnan(x)) {
      wanted = 0x7f;
    } else if (std::fabs(x) > 448.0f) {
      wanted = std::signbit(x) ? 0xfe : 0x7e;  // c10 makes a NaN of it, the instruction 448
    }
    ASSERT_EQ(pair & 0xffu, wanted) << x;
  }
}

// fp32 has numbers half way between two of e4m3, and beside.
TEST(E4m3, TiesGoToEven) {
  for (int code = 0; code < 0x7e; ++code) {
    const float low =
        c10::Float8_e4m3fn(static_cast<std::uint8_t>(code), c10::Float8_e4m3fn::from_bits());
    const float high =
        c10::Float8_e4m3fn(static_cast<std::uint8_t>(code + 1), c10::Float8_e4m3fn::from_bits());
    const float middle = (low + high) / 2;
    const int even = code % 2 == 0 ? code : code + 1;
    EXPECT_EQ(cuda::e4m3_pair(middle, middle), even << 8 | even);
    EXPECT_EQ(cuda::e4m3_pair(std::nextafter(middle, 0.0f), std::nextafter(middle, 500.0f)),
              (code + 1) << 8 | code);
  }
}

// Runs `body` on the CPU's loops, then on the kernels; the results have the same bits.
void expect_the_cpus_bits(const std::function<Fp8Rows()>& body) {
  Device::current().set_in_use(false);
  const Fp8Rows cpu = body();
  Device::current().set_in_use(true);
  const std::uint32_t before = Device::current().launches();
  const Fp8Rows kernel = body();
  EXPECT_GT(Device::current().launches(), before);
  EXPECT_TRUE(test::same_bits(kernel.values.view(at::kByte), cpu.values.view(at::kByte)));
  EXPECT_TRUE(test::same_bits(kernel.scales, cpu.scales));
}

void expect_written_once(const char* values, const char* scales, const Fp8Rows& rows) {
  const auto bytes = static_cast<std::int64_t>(rows.values.nbytes());
  EXPECT_EQ(Device::current().writes(values).bytes, bytes);
  EXPECT_EQ(Device::current().writes(values).sectors, bytes / 32);
  EXPECT_EQ(Device::current().writes(scales).bytes, rows.scales.numel() * 4);
  EXPECT_NO_THROW(Device::current().check_written());
}

at::Tensor powers_of_two(std::int64_t width) {
  return at::arange(width, at::TensorOptions(at::kFloat)).remainder(5).exp2();
}

TEST(Fp8Traffic, QuantizingReadsOnceAtEveryWidthOfQwen3) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    // Hidden sizes, packed heads, twice the feed-forward widths up to that of 32B.
    for (const std::int64_t width : {1024, 5120, 10240, 19456, 24576, 34816, 51200}) {
      if (dtype == at::kFloat && width > 32768) {
        continue;  // wider than the kernel takes
      }
      SCOPED_TRACE(fmt::format("width {}", width));
      const at::Tensor x = random_normal({kRows, width}, dtype, 1);
      const at::Tensor factors = powers_of_two(width);
      for (const at::Tensor& given : {at::Tensor(), factors}) {
        expect_the_cpus_bits([&] { return test::quantized(x, given); });
        const Fp8Rows rows = poisoned_fp8(kRows, width);
        quantize_rows(x, given, rows);
        EXPECT_TRUE(read_once("x", x));
        expect_written_once("values", "scales", rows);
        if (given.defined()) {
          EXPECT_EQ(Device::current().reads("factors").bytes, 2 * kRows * width * 4);  // cached
        }
      }
    }
  });
}

TEST(Fp8Traffic, ARowThatIsTooWideIsQuantizedAllTheSame) {
  const at::Tensor x = random_normal({1, 65536 + 8}, at::kBFloat16, 1);
  const Fp8Rows rows = test::quantized(x);
  EXPECT_TRUE(simt::read_times(0, "x", x));
  EXPECT_LT((test::value_of(rows) - x.to(at::kDouble)).norm().item<double>(),
            0.05 * x.to(at::kDouble).norm().item<double>());
}

TEST(Fp8Traffic, TheNormWritesItsOutputTwiceAndReadsNothingTwice) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const std::int64_t width : {1024, 2560, 5120, 127}) {
      SCOPED_TRACE(fmt::format("width {}", width));
      const at::Tensor x = random_normal({kRows, width}, dtype, 1);
      const at::Tensor delta = random_normal({kRows, width}, dtype, 2);
      const at::Tensor weight = random_normal({width}, dtype, 3, 0.2).add_(1.0);
      const at::Tensor alone = poisoned({kRows, width}, dtype);
      const at::Tensor rstd = poisoned({kRows}, at::kFloat);
      add_rms_norm_forward(x.clone(), delta, weight, 1e-6, alone, rstd);
      const Fp8Rows separate = test::quantized(alone);

      const at::Tensor y = poisoned({kRows, width}, dtype);
      const at::Tensor unit = poisoned({kRows, width}, dtype);
      const Fp8Rows rows = poisoned_fp8(kRows, width);
      const std::uint32_t before = Device::current().launches();
      add_rms_norm_forward(x, delta, weight, 1e-6, y, rstd, unit, rows);
      EXPECT_EQ(Device::current().launches(), before + 1);
      EXPECT_TRUE(test::same_bits(y, alone));
      EXPECT_TRUE(test::same_bits(rows.values.view(at::kByte), separate.values.view(at::kByte)));
      EXPECT_TRUE(test::same_bits(rows.scales, separate.scales));
      if (width % 32 == 0) {
        EXPECT_TRUE(read_once("x", x) && read_once("delta", delta) && written_once("y", y));
        expect_written_once("fp8_values", "fp8_scales", rows);
      }
    }
  });
}

TEST(Fp8Traffic, SwiGluWritesItsOutputTwiceAndReadsNothingTwice) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const std::int64_t width : {3072, 9728, 12288, 25600, 130}) {
      if (dtype == at::kFloat && width > 16384) {
        continue;
      }
      SCOPED_TRACE(fmt::format("width {}", width));
      const at::Tensor gate_up = random_normal({kRows, 2 * width}, dtype, 1, 3.0);
      const at::Tensor alone = poisoned({kRows, width}, dtype);
      swiglu_forward(gate_up, alone);
      const Fp8Rows separate = test::quantized(alone);
      const at::Tensor out = poisoned({kRows, width}, dtype);
      const Fp8Rows rows = poisoned_fp8(kRows, width);
      const std::uint32_t before = Device::current().launches();
      swiglu_forward(gate_up, out, rows);
      EXPECT_EQ(Device::current().launches(), before + 1);
      EXPECT_TRUE(test::same_bits(out, alone));
      EXPECT_TRUE(test::same_bits(rows.values.view(at::kByte), separate.values.view(at::kByte)));
      EXPECT_TRUE(test::same_bits(rows.scales, separate.scales));
      if (width % 32 == 0) {
        EXPECT_TRUE(read_once("gate_up", gate_up) && written_once("out", out));
        expect_written_once("fp8_values", "fp8_scales", rows);
      }
    }
  });
}

TEST(Fp8Traffic, SwiGluOfARowThatIsTooWideIsQuantizedAfterwards) {
  const at::Tensor gate_up = random_normal({1, 2 * 40960}, at::kBFloat16, 1);
  const at::Tensor out = poisoned({1, 40960}, at::kBFloat16);
  const Fp8Rows rows = poisoned_fp8(1, 40960);
  swiglu_forward(gate_up, out, rows);
  const Fp8Rows separate = test::quantized(out);
  EXPECT_TRUE(test::same_bits(rows.values.view(at::kByte), separate.values.view(at::kByte)));
}

struct SwiGluGradient {
  at::Tensor gate_up, out;
};

SwiGluGradient swiglu_gradient(std::int64_t rows, std::int64_t width, at::ScalarType dtype) {
  return {random_normal({rows, 2 * width}, dtype, 1, 3.0), random_normal({rows, width}, dtype, 2)};
}

TEST(Fp8Traffic, SwiGluBackwardWritesItsGradientsTwiceAndReadsNothingTwice) {
  simt::for_each_kernel_dtype([](at::ScalarType dtype) {
    for (const std::int64_t width : {3072, 6144, 9728, 12288, 130}) {
      if (dtype == at::kFloat && width > 8192) {
        continue;
      }
      SCOPED_TRACE(fmt::format("width {}", width));
      const at::Tensor factors = powers_of_two(2 * width);
      const SwiGluGradient alone = swiglu_gradient(kRows, width, dtype);
      swiglu_backward(alone.gate_up, alone.out);
      const Fp8Rows separate = test::quantized(alone.gate_up, factors);
      const SwiGluGradient fused = swiglu_gradient(kRows, width, dtype);
      const Fp8Rows rows = poisoned_fp8(kRows, 2 * width);
      const std::uint32_t before = Device::current().launches();
      swiglu_backward(fused.gate_up, fused.out, factors, rows);
      EXPECT_EQ(Device::current().launches(), before + 1);
      EXPECT_TRUE(test::same_bits(fused.gate_up, alone.gate_up));
      EXPECT_TRUE(test::same_bits(fused.out, alone.out));
      EXPECT_TRUE(test::same_bits(rows.values.view(at::kByte), separate.values.view(at::kByte)));
      EXPECT_TRUE(test::same_bits(rows.scales, separate.scales));
      if (width % 32 == 0) {
        EXPECT_TRUE(read_once("gate_up", fused.gate_up) && written_once("gate_up", fused.gate_up));
        EXPECT_TRUE(read_once("dout", fused.out) && written_once("dout", fused.out));
        expect_written_once("fp8_values", "fp8_scales", rows);
        EXPECT_EQ(Device::current().reads("factors").bytes, 4 * kRows * width * 4);  // cached
      }
    }
  });
}

TEST(Fp8Traffic, SwiGluBackwardOfARowThatIsTooWideIsQuantizedAfterwards) {
  for (const std::int64_t width : {17408, 25600, 40960}) {
    const at::Tensor factors = powers_of_two(2 * width);
    const SwiGluGradient wide = swiglu_gradient(1, width, at::kBFloat16);
    const Fp8Rows rows = poisoned_fp8(1, 2 * width);
    swiglu_backward(wide.gate_up, wide.out, factors, rows);
    const Fp8Rows separate = test::quantized(wide.gate_up, factors);
    EXPECT_TRUE(test::same_bits(rows.values.view(at::kByte), separate.values.view(at::kByte)));
    EXPECT_TRUE(test::same_bits(rows.scales, separate.scales));
  }
}

TEST(Fp8Traffic, TransposingMovesWholeSectors) {
  const Fp8Rows in = test::quantized(random_normal({192, 128}, at::kFloat, 1));
  const Fp8Rows out = poisoned_fp8(128, 192);
  transpose_fp8(in.values, out.values);
  EXPECT_TRUE(read_once("in", in.values) && written_once("out", out.values));
  EXPECT_NO_THROW(Device::current().check_written());
}

}  // namespace
}  // namespace weft::kernels
