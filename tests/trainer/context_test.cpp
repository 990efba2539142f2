// A micro-batch shared out among forked ranks against a whole one: losses and gradients, what is
// sent, failures in a pass.

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "distributed/scaling.h"
#include "kernels/work_log.h"
#include "tests/distributed/rank_testing.h"
#include "tests/model/fixture.h"
#include "tests/support/caught.h"
#include "trainer/context_group.h"
#include "trainer/shared_base.h"

namespace weft {
namespace {

using distributed::Session;
using ::testing::HasSubstr;

using Lengths = std::vector<std::int32_t>;

// Documents of these lengths, every third token no target.
struct Documents {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> mask;
  std::vector<std::int32_t> bounds{0};

  explicit Documents(const Lengths& lengths) {
    bounds.resize(lengths.size() + 1);
    std::partial_sum(lengths.begin(), lengths.end(), bounds.begin() + 1);
    for (std::int32_t i = 0; i < bounds.back(); ++i) {
      tokens.push_back(1 + i * 31 % 190);
      mask.push_back(i % 3 != 0 ? 1 : 0);
    }
  }
  [[nodiscard]] model::PackedBatch whole() const {
    return model::make_packed_batch(tokens, mask, bounds, 199, at::kCPU);
  }
  [[nodiscard]] model::PackedBatch part(const Session& session) const {
    return model::make_context_batch(tokens, mask, bounds, 199, at::kCPU, session.rank(),
                                     session.size());
  }
};

model::Qwen3Model load(at::ScalarType dtype) { return test::load_model("wide_head", dtype); }

// The sum of log-probabilities, then all gradients of the weights, in fp64.
at::Tensor numbers_of(model::Qwen3Model& model, const model::PackedBatch& batch) {
  const at::ScalarType wide = model.dtype() == at::kDouble ? at::kDouble : at::kFloat;
  const model::Weights gradients = model::make_weights(
      model.config(), [&](const std::string&, const std::vector<std::int64_t>& shape, bool) {
        return at::zeros(shape, at::TensorOptions(wide));
      });
  model.set_weight_gradients(gradients);
  std::vector<at::Tensor> all{
      model.forward_backward(batch, 0.25, {}).sum(at::kDouble).reshape({1})};
  for (const auto& named : model::named_weights(gradients, model.config())) {
    all.push_back(named.view.flatten().to(at::kDouble));
  }
  return at::cat(all);
}

std::shared_ptr<trainer::ContextGroup> open_group(Session& session) {
  return trainer::open_context_group({0, 1, session.rank(), session.size()}, session);
}

// What all ranks have, added up.
at::Tensor shared_numbers(model::Qwen3Model& model, const Documents& documents, Session& session) {
  at::Tensor numbers = numbers_of(model, documents.part(session));
  session.group().all_reduce(numbers, "a test");
  return numbers;
}

struct Case {
  const char* name;
  Lengths lengths;
};

class ContextRanks : public ::testing::TestWithParam<std::tuple<int, Case>> {};

TEST_P(ContextRanks, LossAndGradientsOfAllWeightsAreThoseOfOneRank) {
  const auto& [world, which] = GetParam();
  const Documents documents(which.lengths);
  test::run_ranks(world, [&](Session& session) {
    const auto group = open_group(session);
    for (const auto& [dtype, error] :
         {std::pair{at::kDouble, 1e-12}, {at::kFloat, 2e-6}, {at::kBFloat16, 2e-2}}) {
      model::Qwen3Model one = load(dtype);
      const at::Tensor expected = numbers_of(one, documents.whole());
      for (const bool recompute : {false, true}) {
        model::Qwen3Model model = load(dtype);
        model.set_context(group);
        model.set_recompute(recompute);
        EXPECT_LT(test::relative_error(shared_numbers(model, documents, session), expected), error)
            << dtype << " recompute " << recompute;
      }
    }
  });
}
INSTANTIATE_TEST_SUITE_P(
    Documents, ContextRanks,
    ::testing::Combine(::testing::Values(2, 3, 4),
                       ::testing::Values(Case{"OneLong", {101}},
                                         Case{"LongAndShort", {40, 3, 1, 67, 5, 2}},
                                         Case{"ShortAlone", {4}}, Case{"OneToken", {1, 9}},
                                         Case{"ManyShort", {3, 3, 4, 3, 2, 3, 4, 3, 3, 4, 4, 3}})),
    [](const auto& info) {
      return fmt::format("{}On{}", std::get<1>(info.param).name, std::get<0>(info.param));
    });

// Only the last token of a long document is a target: one rank alone has it, and all have
// gradients.
TEST(Context, RanksWithoutATargetServeTheOneThatHasSome) {
  Documents documents({64});
  std::fill(documents.mask.begin(), documents.mask.end(), 0);
  test::run_ranks(2, [&](Session& session) {
    model::Qwen3Model one = load(at::kDouble);
    model::Qwen3Model model = load(at::kDouble);
    model.set_context(open_group(session));
    EXPECT_EQ(model.forward_backward(documents.part(session), 1.0, {}).numel(), 0);
    Documents some = documents;
    some.mask[20] = 1;
    EXPECT_EQ(some.part(session).target_count(), session.rank());
    EXPECT_LT(
        test::relative_error(shared_numbers(model, some, session), numbers_of(one, some.whole())),
        1e-12);
  });
}

TEST(Context, RanksOfAGroupDrawMasksOfTheirOwn) {
  trainer::RunConfig config;
  const auto seed = [&](std::int64_t lane, std::int64_t rank) {
    return trainer::dropout_seed(config, {lane, 4, rank, 2});
  };
  EXPECT_EQ(seed(0, 1), seed(3, 1)) << "lanes differ by the number of the micro-batch";
  EXPECT_NE(seed(0, 0), seed(0, 1));
  EXPECT_EQ(seed(0, 0), trainer::dropout_seed(config, {}));
}

// As the roofline counts it: the ranks' work is that of one.
TEST(Context, TheRanksTogetherCountTheWorkOfAttentionThatOneDoes) {
  const Documents documents({101, 30, 5});
  const auto flops = [](const kernels::WorkLog& log) {
    double sum = 0;
    for (const kernels::Work& work : log.entries()) {
      sum += work.kind == kernels::WorkKind::kAttention ? work.flops : 0;
    }
    return sum;
  };
  test::run_ranks(3, [&](Session& session) {
    model::Qwen3Model model = load(at::kFloat);
    model.set_context(open_group(session));
    const kernels::WorkLog log;
    (void)numbers_of(model, documents.part(session));
    const std::vector<double> parts = session.group().gather(flops(log), "a test");
    const kernels::WorkLog whole;
    model::Qwen3Model one = load(at::kFloat);
    (void)numbers_of(one, documents.whole());
    EXPECT_DOUBLE_EQ(std::accumulate(parts.begin(), parts.end(), 0.0), flops(whole));
    EXPECT_LT(*std::max_element(parts.begin(), parts.end()), 0.36 * flops(whole)) << "uneven";
  });
}

TEST(Context, EqualPassesGiveEqualBits) {
  const Documents documents({70, 9});
  test::run_ranks(3, [&](Session& session) {
    model::Qwen3Model model = load(at::kFloat);
    model.set_context(open_group(session));
    const at::Tensor first = numbers_of(model, documents.part(session));
    EXPECT_TRUE(first.equal(numbers_of(model, documents.part(session))));
  });
}

class ContextBytes : public ::testing::TestWithParam<int> {};

TEST_P(ContextBytes, AreThoseThatTheModelOfScalingCounts) {
  const Documents documents({101, 30});
  test::run_ranks(GetParam(), [&](Session& session) {
    const auto group = open_group(session);
    std::uint64_t before = 0;
    for (const bool recompute : {false, true}) {
      model::Qwen3Model model = load(at::kFloat);
      model.set_context(group);
      model.set_recompute(recompute);
      const model::PackedBatch part = documents.part(session);
      (void)numbers_of(model, part);
      const model::Qwen3Config& config = model.config();
      const std::int64_t columns = 2 * config.num_key_value_heads * config.head_dim;
      EXPECT_EQ(group->bytes_sent() - before,
                distributed::context_bytes(GetParam(), config.num_hidden_layers,
                                           part.split.padded * columns * 4, recompute));
      before = group->bytes_sent();
    }
  });
}
INSTANTIATE_TEST_SUITE_P(Ranks, ContextBytes, ::testing::Values(2, 3, 4));

// Rank 1 can't go on in the second layer of its second pass.
TEST(Context, ARankThatFailsInAPassIsNamedByTheOthersAtOnce) {
  const Documents documents({64});
  const auto began = std::chrono::steady_clock::now();
  test::run_ranks(3, [&](Session& session) {
    const auto group = open_group(session);
    model::Qwen3Model model = load(at::kFloat);
    model.set_context(group);
    const auto run = [&] {
      trainer::make_passes(
          nullptr, model::PassKind::kForwardBackward, 2,
          [&] {
            (void)numbers_of(model, documents.part(session));
            if (session.rank() == 1) {
              throw Error(ErrorKind::kOutOfMemory, "no memory for this");
            }
            (void)numbers_of(model, documents.part(session));
          },
          group.get());
    };
    const Error error = test::caught(run);
    EXPECT_EQ(error.kind(), session.rank() == 1 ? ErrorKind::kOutOfMemory : ErrorKind::kPeer);
    EXPECT_THAT(error.what(), HasSubstr(session.rank() == 1 ? "no memory" : "keys of layer 0"));
  });
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(3));
}

TEST(Context, ABatchWithSplitDocumentsNeedsAGroup) {
  model::Qwen3Model model = load(at::kFloat);
  const Documents documents({64});
  const auto part = model::make_context_batch(documents.tokens, documents.mask, documents.bounds,
                                              199, at::kCPU, 0, 2);
  EXPECT_THAT(test::caught([&] { (void)model.forward_backward(part, 1.0, {}); }).what(),
              HasSubstr("no ranks to exchange keys with"));
}

}  // namespace
}  // namespace weft
