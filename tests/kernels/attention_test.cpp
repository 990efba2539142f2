#include "kernels/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/as_strided.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "tests/support/tensor_testing.h"

namespace weft::kernels {
namespace {

using test::as_precise_as;
using test::poisoned;
using test::random_normal;
using ::testing::HasSubstr;

using Boundaries = std::vector<std::int32_t>;

const HeadLayout kLayouts[] = {{1, 1, 2}, {4, 2, 6}, {8, 1, 64}, {4, 2, 128}};
// Documents of 1; 2 and 7; 0, 33, 0, 1, 7, 2 and 0 tokens.
const Boundaries kPackings[] = {{0, 1}, {0, 2, 9}, {0, 0, 33, 33, 34, 41, 43, 43}};

at::Tensor heads_of(const at::Tensor& rows, std::int64_t first, std::int64_t count,
                    std::int64_t repeat, std::int64_t head_dim) {
  return rows.narrow(1, first * head_dim, count * head_dim)
      .unflatten(1, {count, head_dim})
      .transpose(0, 1)
      .repeat_interleave(repeat, 0);
}

// [T, T]: true where a row may not look: later positions and other documents.
at::Tensor forbidden(std::int64_t tokens, const Boundaries& boundaries) {
  at::Tensor mask = test::filled({tokens, tokens}, at::kBool, 1.0);
  for (std::size_t i = 0; i + 1 < boundaries.size(); ++i) {
    const std::int64_t length = boundaries[i + 1] - boundaries[i];
    mask.narrow(0, boundaries[i], length)
        .narrow(1, boundaries[i], length)
        .copy_(test::filled({length, length}, at::kBool, 1.0).triu(1));
  }
  return mask;
}

at::Tensor scores_of(const at::Tensor& qkv, const HeadLayout& layout, const Boundaries& documents) {
  const std::int64_t repeat = layout.heads_q / layout.heads_k;
  const at::Tensor q = heads_of(qkv, 0, layout.heads_q, 1, layout.head_dim);
  const at::Tensor k = heads_of(qkv, layout.heads_q, layout.heads_k, repeat, layout.head_dim);
  return (at::matmul(q, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(layout.head_dim)))
      .masked_fill(forbidden(qkv.size(0), documents), -std::numeric_limits<double>::infinity());
}

test::Composition composition(const HeadLayout& layout, const Boundaries& documents) {
  return [=](const test::Tensors& in) {
    const at::Tensor v = heads_of(in[0], layout.rotated(), layout.heads_k,
                                  layout.heads_q / layout.heads_k, layout.head_dim);
    const at::Tensor p = at::softmax(scores_of(in[0], layout, documents), -1);
    return test::Tensors{at::matmul(p, v).transpose(0, 1).flatten(1)};
  };
}

struct Case {
  HeadLayout layout;
  Boundaries documents;
  at::Tensor qkv, dout;

  Case(const HeadLayout& heads, const Boundaries& boundaries, at::ScalarType dtype)
      : layout(heads),
        documents(boundaries),
        qkv(random_normal({boundaries.back(), heads.row()}, dtype, 1)),
        dout(random_normal({boundaries.back(), heads.heads_q * heads.head_dim}, dtype, 2)) {}
};

struct Result {
  at::Tensor out, lse, dqkv;
};

// `spare`: columns behind the rows that are written.
Result run(const Case& c, std::int64_t spare = 0) {
  Arena scratch{c10::Device(at::kCPU)};
  const at::ScalarType dtype = c.qkv.scalar_type();
  const auto rows = [&](std::int64_t width) {
    return poisoned({c.qkv.size(0), width + spare}, dtype).narrow(1, 0, width);
  };
  Result r{rows(c.layout.heads_q * c.layout.head_dim),
           poisoned({c.layout.heads_q * c.qkv.size(0)}, test::wide_dtype(dtype)),
           rows(c.layout.row())};
  attention_forward(c.qkv, c.layout, c.documents, r.out, r.lse, scratch);
  attention_backward(c.dout, c.qkv, c.layout, c.documents, r.out, r.lse, r.dqkv, scratch);
  return r;
}

// [heads, T], from the blocks of [heads, length] that the documents have.
at::Tensor lse_by_head(const Case& c, const at::Tensor& lse) {
  const std::int64_t heads = c.layout.heads_q;
  at::Tensor all = poisoned({heads, c.qkv.size(0)}, at::kDouble);
  for (std::size_t i = 0; i + 1 < c.documents.size(); ++i) {
    const std::int64_t first = c.documents[i];
    const std::int64_t length = c.documents[i + 1] - first;
    all.narrow(1, first, length)
        .copy_(lse.narrow(0, heads * first, heads * length).view({heads, length}));
  }
  return all;
}

void expect_precise(const Case& c) {
  SCOPED_TRACE(fmt::format("heads {}/{} of {}, {} documents", c.layout.heads_q, c.layout.heads_k,
                           c.layout.head_dim, c.documents.size() - 1));
  const auto [plain, exact] = test::evaluate(composition(c.layout, c.documents), {c.qkv}, {c.dout});
  const Result r = run(c);
  EXPECT_TRUE(as_precise_as(r.out, plain.outputs[0], exact.outputs[0]));
  EXPECT_TRUE(as_precise_as(r.dqkv, plain.gradients[0], exact.gradients[0]));
  const auto lse = [&](const at::Tensor& qkv) {
    return scores_of(qkv, c.layout, c.documents).logsumexp(-1);
  };
  EXPECT_TRUE(as_precise_as(lse_by_head(c, r.lse), lse(c.qkv), lse(c.qkv.to(at::kDouble))));
}

TEST(Attention, WritesTheSameIntoRowsThatLieInWiderOnes) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Case c(kLayouts[1], kPackings[2], dtype);
    const Result alone = run(c);
    const Result padded = run(c, 24);
    EXPECT_TRUE(padded.out.equal(alone.out)) << dtype;
    EXPECT_TRUE(padded.dqkv.equal(alone.dqkv)) << dtype;
    const at::Tensor behind = at::as_strided(padded.out, {c.qkv.size(0), 24},
                                             {padded.out.stride(0), 1}, padded.out.size(1));
    EXPECT_TRUE(behind.isnan().all().item<bool>()) << dtype;
  }
}

TEST(Attention, IsAsPreciseAsTheComposition) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const HeadLayout& layout : kLayouts) {
      for (const Boundaries& documents : kPackings) {
        expect_precise(Case(layout, documents, dtype));
      }
    }
  });
}

TEST(Attention, CachedIsTheEndOfTheFullSequence) {
  test::for_each_dtype([](at::ScalarType dtype) {
    for (const HeadLayout& layout : kLayouts) {
      for (const std::int32_t length : {1, 2, 7, 33}) {
        const Case c(layout, {0, length}, dtype);
        const auto [plain, exact] = test::evaluate(composition(layout, c.documents), {c.qkv}, {});
        // Keys and values as a cache has them: a slot's first rows, between other sequences.
        const at::Tensor cache =
            poisoned({2, length + 5, 2, layout.heads_k, layout.head_dim}, dtype);
        const at::Tensor slot = cache[1].narrow(0, 0, length);
        const std::int64_t width = layout.heads_k * layout.head_dim;
        slot.copy_(c.qkv.narrow(1, layout.heads_q * layout.head_dim, 2 * width)
                       .view({length, 2, layout.heads_k, layout.head_dim}));
        for (const std::int64_t fresh : {1, 2, 7, 33}) {
          if (fresh > length) {
            continue;
          }
          SCOPED_TRACE(fmt::format("{} of {} rows, head_dim {}", fresh, length, layout.head_dim));
          const at::Tensor q = c.qkv.narrow(0, length - fresh, fresh)
                                   .narrow(1, 0, layout.heads_q * layout.head_dim)
                                   .unflatten(1, {layout.heads_q, layout.head_dim});
          const at::Tensor out = poisoned({fresh, layout.heads_q * layout.head_dim}, dtype);
          attention_cached(q, slot.select(1, 0), slot.select(1, 1), out);
          const auto end = [&](const at::Tensor& all) {
            return all.narrow(0, length - fresh, fresh);
          };
          EXPECT_TRUE(as_precise_as(out, end(plain.outputs[0]), end(exact.outputs[0])));
        }
      }
    }
  });
}

// Longer than the blocks of rows and columns that the operator works in.
TEST(Attention, TakesALongDocument) {
  expect_precise(Case({2, 1, 6}, {0, 3, 703}, at::kFloat));
  expect_precise(Case({2, 1, 6}, {0, 3, 703}, at::kBFloat16));
}

// Lengths on both sides of where a CPU takes the queries in parts, and some that do not divide.
TEST(Attention, TakesDocumentsWhoseQueriesAreSplit) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    expect_precise(Case({4, 2, 6}, {0, 191, 383, 576}, dtype));
  }
  expect_precise(Case({2, 1, 6}, {0, 1024}, at::kFloat));
  expect_precise(Case({2, 1, 6}, {0, 1, 1026}, at::kFloat));
}

TEST(Attention, APackedDocumentGivesTheBitsItGivesAlone) {
  const HeadLayout layout{4, 2, 64};
  const Case packed(layout, {0, 7, 40, 42}, at::kFloat);
  const Result all = run(packed);
  Case alone(layout, {0, 33}, at::kFloat);
  alone.qkv = packed.qkv.narrow(0, 7, 33).clone();
  alone.dout = packed.dout.narrow(0, 7, 33).clone();
  const Result one = run(alone);
  EXPECT_TRUE(test::same_bits(all.out.narrow(0, 7, 33), one.out));
  EXPECT_TRUE(test::same_bits(all.dqkv.narrow(0, 7, 33), one.dqkv));
  EXPECT_TRUE(test::same_bits(all.lse.narrow(0, 4 * 7, 4 * 33), one.lse));
}

TEST(Attention, MatchesFiniteDifferences) {
  Case c({2, 1, 2}, {0, 1, 4}, at::kDouble);
  const Result r = run(c);
  const at::Tensor wanted =
      test::numeric_gradient([&] { return (run(c).out * c.dout).sum().item<double>(); }, c.qkv);
  EXPECT_TRUE(test::near(r.dqkv, wanted, 1e-8));
}

TEST(Attention, WritesItsGradientIntoWiderRows) {
  test::for_each_dtype([](at::ScalarType dtype) {
    const Case c({4, 2, 6}, {0, 1, 9, 42}, dtype);
    const Result r = run(c);
    Arena scratch{c10::Device(at::kCPU)};
    const at::Tensor dqkv = test::padded(poisoned(c.qkv.sizes(), dtype), 8);
    attention_backward(c.dout, c.qkv, c.layout, c.documents, r.out, r.lse, dqkv, scratch);
    EXPECT_TRUE(test::same_bits(dqkv, r.dqkv) && test::left_alone_behind(dqkv));
  });
}

TEST(Attention, GivesTheSameBitsForAnyNumberOfThreads) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    const Case c({4, 2, 64}, {0, 33, 40, 240}, dtype);
    EXPECT_TRUE(test::independent_of_threads([&] {
      const Result r = run(c);
      return test::Tensors{r.out, r.lse, r.dqkv};
    }));
  }
}

TEST(Attention, LetsNanThroughInItsDocumentOnly) {
  for (const at::ScalarType dtype : test::kDtypes) {
    for (const std::int64_t column : {0, 24, 36}) {  // of a query, a key, a value
      const Case c({4, 2, 6}, {0, 2, 9}, dtype);
      c.qkv[0][column] = std::numeric_limits<double>::quiet_NaN();
      const Result r = run(c);
      EXPECT_TRUE(r.out[0].isnan().any().item<bool>()) << dtype << " column " << column;
      EXPECT_TRUE(r.dqkv.narrow(0, 0, 2).isnan().any().item<bool>());
      EXPECT_TRUE(r.out.narrow(0, 2, 7).isfinite().all().item<bool>());
      EXPECT_TRUE(r.dqkv.narrow(0, 2, 7).isfinite().all().item<bool>());
    }
  }
}

// Planned on the meta device: heads that no fused kernel takes are composed, whatever the GPU.
TEST(Attention, OnAGpuIsFusedForHeadsThatItsKernelsTake) {
  const Boundaries bounds{0, 5, 9};
  const auto is_fused = [&](std::int64_t head_dim, const std::string& backend) {
    return make_device_attention(bounds, {4, 2, head_dim}, at::kBFloat16, at::kMeta, at::kCUDA,
                                 {backend, true}) != nullptr;
  };
  for (const std::int64_t head_dim : {8, 64, 128}) {
    EXPECT_TRUE(is_fused(head_dim, "auto")) << head_dim;
  }
  EXPECT_TRUE(is_fused(256, "auto"));  // FlashAttention-2
  for (const std::int64_t head_dim : {6, 12, 264}) {
    EXPECT_FALSE(is_fused(head_dim, "auto")) << head_dim;
    for (const char* backend : {"cudnn", "flash"}) {
      EXPECT_THAT([&] { (void)is_fused(head_dim, backend); },
                  ::testing::ThrowsMessage<Error>(
                      HasSubstr(fmt::format("heads of {} elements", head_dim))));
    }
  }
  EXPECT_THAT([&] { (void)is_fused(256, "cudnn"); },
              ::testing::ThrowsMessage<Error>(HasSubstr("cuDNN's attention does not take heads")));
}

TEST(Attention, NamesTheTensorOrBoundaryThatIsWrong) {
  const auto error = [](const std::function<void(Case&)>& spoil) {
    Case c({4, 2, 6}, {0, 2, 9}, at::kFloat);
    spoil(c);
    return test::internal_error_of([&] { run(c); });
  };
  EXPECT_THAT(error([](Case& c) {
                c.qkv = poisoned({9, 47}, at::kFloat);
              }),
              HasSubstr("attention qkv is [9, 47] Float, expected [9, 48] Float"));
  EXPECT_THAT(error([](Case& c) {
                c.dout = poisoned({9, 23}, at::kFloat);
              }),
              HasSubstr("attention dout is [9, 23] Float"));
  const Boundaries wrong[] = {{}, {0, 8}, {1, 9}, {0, 5, 4, 9}, {0, 20, 9}, {0, -3, 9}};
  for (const Boundaries& boundaries : wrong) {
    EXPECT_THAT(error([&](Case& c) { c.documents = boundaries; }),
                HasSubstr("attention: cu_seqlens do not span the 9 rows"));
  }
}

}  // namespace
}  // namespace weft::kernels
