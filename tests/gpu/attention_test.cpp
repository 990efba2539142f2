// The fused attentions of a GPU against a composition in fp64, at Qwen3's head layouts and on
// ragged documents.

#include "kernels/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <utility>

#include "kernels/prefix_attention.h"
#include "tests/support/tensor_testing.h"
#include "trainer/device.h"

namespace weft::kernels {
namespace {

using Documents = std::vector<std::int32_t>;

const Documents kPackings[] = {
    {0, 1}, {0, 128, 256}, {0, 1, 3, 130, 131, 700}, {0, 2048, 2049, 4096}, {0, 0, 33, 33, 161}};
const HeadLayout kLayouts[] = {{16, 8, 128}, {32, 8, 128}, {64, 8, 128}};

struct Result {
  at::Tensor out, dqkv;
};

Result run(const at::Tensor& qkv, const at::Tensor& dout, const HeadLayout& layout,
           const Documents& cu_seqlens, const AttentionOptions& options,
           const AttentionSpare& spare = {}) {
  Arena scratch(qkv.device());
  const at::ScalarType dtype = qkv.scalar_type();
  const auto poison = [&](at::IntArrayRef sizes, at::ScalarType type) {
    return test::poisoned(sizes, type).to(qkv.device());
  };
  const std::int64_t width = layout.heads_q * layout.head_dim;
  const at::Tensor wide_out = poison({qkv.size(0), width + spare.out}, dtype);
  const at::Tensor wide_dqkv = poison({qkv.size(0), layout.row() + spare.dqkv}, dtype);
  Result result{wide_out.narrow(1, 0, width), wide_dqkv.narrow(1, 0, layout.row())};
  const at::Tensor lse =
      poison({layout.heads_q * qkv.size(0)}, dtype == at::kDouble ? at::kDouble : at::kFloat);
  const AttentionDocuments documents(
      cu_seqlens,
      make_device_attention(cu_seqlens, layout, dtype, qkv.device(), at::kCUDA, options, spare));
  attention_forward(qkv, layout, documents, result.out, lse, scratch);
  attention_backward(dout, qkv, layout, documents, result.out, lse, result.dqkv, scratch);
  // What lies behind the rows is the adapters'.
  EXPECT_TRUE(wide_out.narrow(1, width, spare.out).isnan().all().item<bool>());
  EXPECT_TRUE(wide_dqkv.narrow(1, layout.row(), spare.dqkv).isnan().all().item<bool>());
  return {result.out.cpu(), result.dqkv.cpu()};
}

class GpuAttention : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const c10::Device device = trainer::resolve_device("auto");
    if (!device.is_cuda()) {
      GTEST_SKIP() << "there is no GPU that LibTorch can use";
    }
    const std::string reason = detail::why_no_cudnn(kLayouts[0], device);
    if (std::string(GetParam()) == "cudnn" && !reason.empty()) {
      GTEST_SKIP() << reason;
    }
  }
};

TEST_P(GpuAttention, IsAsPreciseAsTheCompositionInBf16) {
  for (const HeadLayout& layout : kLayouts) {
    for (const Documents& documents : kPackings) {
      SCOPED_TRACE(fmt::format("{} heads, {} documents", layout.heads_q, documents.size() - 1));
      const std::int64_t tokens = documents.back();
      const at::Tensor qkv = test::random_normal({tokens, layout.row()}, at::kBFloat16, 1);
      const at::Tensor dout =
          test::random_normal({tokens, layout.heads_q * layout.head_dim}, at::kBFloat16, 2);
      const Result exact = run(qkv.to(at::kDouble).cuda(), dout.to(at::kDouble).cuda(), layout,
                               documents, {.backend = "composed"});
      const Result plain = run(qkv.cuda(), dout.cuda(), layout, documents, {.backend = "composed"});
      const Result fused = run(qkv.cuda(), dout.cuda(), layout, documents, {.backend = GetParam()});
      EXPECT_TRUE(test::as_precise_as(fused.out, plain.out, exact.out));
      EXPECT_TRUE(test::as_precise_as(fused.dqkv, plain.dqkv, exact.dqkv));
    }
  }
}

TEST_P(GpuAttention, WritesTheSameIntoRowsThatLieInWiderOnes) {
  const HeadLayout layout = kLayouts[1];
  for (const Documents& documents : kPackings) {
    const std::int64_t tokens = documents.back();
    const at::Tensor qkv = test::random_normal({tokens, layout.row()}, at::kBFloat16, 1);
    const at::Tensor dout = test::random_normal({tokens, 32 * 128}, at::kBFloat16, 2);
    const AttentionOptions options{.backend = GetParam()};
    const Result alone = run(qkv.cuda(), dout.cuda(), layout, documents, options);
    const Result padded = run(qkv.cuda(), dout.cuda(), layout, documents, options, {16, 48});
    EXPECT_TRUE(padded.out.equal(alone.out));
    EXPECT_TRUE(padded.dqkv.equal(alone.dqkv));
  }
}

TEST_P(GpuAttention, EqualRunsGiveEqualBits) {
  const HeadLayout layout = kLayouts[0];
  const Documents documents = kPackings[3];
  const at::Tensor qkv = test::random_normal({documents.back(), layout.row()}, at::kBFloat16, 1);
  const at::Tensor dout = test::random_normal({documents.back(), 16 * 128}, at::kBFloat16, 2);
  const Result once = run(qkv.cuda(), dout.cuda(), layout, documents, {.backend = GetParam()});
  for (int i = 0; i < 5; ++i) {
    const Result again = run(qkv.cuda(), dout.cuda(), layout, documents, {.backend = GetParam()});
    EXPECT_TRUE(once.out.equal(again.out));
    EXPECT_TRUE(once.dqkv.equal(again.dqkv));
  }
}

class GpuPiece : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!trainer::resolve_device("auto").is_cuda()) {
      GTEST_SKIP() << "there is no GPU that LibTorch can use";
    }
  }
};

// A piece of a document against the prefix that ends with it, as ranks that share documents have
// it: by FlashAttention-2, and composed.
TEST_F(GpuPiece, IsAsPreciseAsTheCompositionAndEqualInBits) {
  struct Piece {
    at::Tensor out, gradients;
  };
  const HeadLayout layout = kLayouts[1];
  const auto piece = [&](std::int64_t n, std::int64_t m, at::ScalarType dtype,
                         const char* backend) {
    const auto rows = [&](std::int64_t count, std::int64_t heads, std::uint64_t seed) {
      return test::random_normal({count, heads, layout.head_dim}, at::kBFloat16, seed)
          .to(dtype)
          .cuda();
    };
    const at::ScalarType wide = dtype == at::kDouble ? at::kDouble : at::kFloat;
    const at::Tensor q = rows(n, layout.heads_q, 1);
    const at::Tensor keys = rows(m, layout.heads_k, 2);
    const at::Tensor values = rows(m, layout.heads_k, 3);
    const at::Tensor out = test::poisoned(q.sizes(), dtype).cuda();
    const at::Tensor lse = test::poisoned({layout.heads_q * n}, wide).cuda();
    const at::Tensor dq = test::poisoned(q.sizes(), dtype).cuda();
    const at::Tensor dkeys = test::filled(keys.sizes(), wide, 0.0).cuda();
    const at::Tensor dvalues = test::filled(keys.sizes(), wide, 0.0).cuda();
    Arena scratch(q.device());
    const AttentionOptions options{.backend = backend};
    prefix_attention_forward(q, keys, values, out, lse, options, scratch);
    prefix_attention_backward(rows(n, layout.heads_q, 4), q, keys, values, out, lse, dq, dkeys,
                              dvalues, options, scratch);
    return Piece{out.cpu(),
                 at::cat({dq.to(wide).flatten(), dkeys.flatten(), dvalues.flatten()}).cpu()};
  };
  for (const auto& [n, m] : {std::pair{1, 1}, {5, 17}, {130, 700}, {512, 4096}}) {
    SCOPED_TRACE(fmt::format("{} of {} rows", n, m));
    const Piece exact = piece(n, m, at::kDouble, "composed");
    const Piece plain = piece(n, m, at::kBFloat16, "composed");
    const Piece fused = piece(n, m, at::kBFloat16, "flash");
    EXPECT_TRUE(test::as_precise_as(fused.out, plain.out, exact.out));
    EXPECT_TRUE(test::as_precise_as(fused.gradients, plain.gradients, exact.gradients));
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(piece(n, m, at::kBFloat16, "flash").gradients.equal(fused.gradients));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, GpuAttention, ::testing::Values("cudnn", "flash"));

}  // namespace
}  // namespace weft::kernels
